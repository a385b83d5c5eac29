# What commands say.

label-error = error:
ask-passphrase = Passphrase:
ask-new-passphrase = New passphrase:
ask-words = The 24 words:
ask-again = Once more:

word-yes = yes
word-no = no
word-online = online
word-away = away
word-verified = verified
word-unverified = not verified
word-new-device = NEW DEVICE since { $since }: compare numbers again

column-name = NAME
column-state = STATE
column-here = HERE
column-identity = IDENTITY
column-id = ID
column-expires = EXPIRES
column-auto-accept = AUTO-ACCEPT
column-requests = REQUESTS
column-since = SINCE
column-fingerprint = FINGERPRINT
column-group = GROUP
column-from = FROM
column-to = TO
column-why = WHY
column-kind = KIND
column-unread = UNREAD
column-last = LAST
column-role = ROLE
column-number = N
column-home = HOME
column-address = ADDRESS
column-setting = SETTING
column-value = VALUE
column-origin = FROM WHERE
column-load = LOAD
column-count = COUNT
column-per-second = PER SECOND
column-p50 = HALF BELOW
column-p99 = 99% BELOW

identity-name = Name         { $name }
identity-account = Account      { $account }
identity-fingerprint = Fingerprint  { $fingerprint }
init-next =
    Your account is ready. Next:
      moim words    write down the recovery words: they are the only way back
      moim up       run the node
init-restored = The account is restored as a new device. Next: moim up
words-keep = Keep these words on paper. Whoever has them has the account.
backup-written = { $path }, { $size }
backup-damaged =
    { $count ->
        [one] { $count } thing is damaged in this home, and not in the backup.
       *[other] { $count } things are damaged in this home, and not in the backup.
    }
backup-keep = Your 24 words open it: moim restore FILE. Keep it apart from this device, and make another now and then.
restore-messages =
    { $count ->
        [one] { $count } message
       *[other] { $count } messages
    }
restore-next = The account is back, as a new device that replaces the old one. Next: moim up

up-ready = ready: { $peer } { $addrs }
up-stop = Stop it with Ctrl+C, or with moim down
down-stopping = The node is stopping
status-running = moim { $version }, running
status-stopped = moim { $version }, not running
status-start = Start the node: moim up
status-peer = Peer         { $peer }
status-address = Address      { $address }
status-peers =
    { $count ->
        [one] Peers        1 connected
       *[other] Peers        { $count } connected
    }
status-outbox =
    { $count ->
        [0] Outbox       empty
        [one] Outbox       1 message waits
       *[other] Outbox       { $count } messages wait
    }
status-chats = Chats        { $count }, { $size } on disk
status-replaced = REPLACED     nobody listens to this device since another took its place (learned { $since })
status-rolled-back = Older copy   put back here, noticed { $since }: everything began anew. Do not put copies back

origin-flag = this command
origin-environment = environment
origin-file = config.toml
origin-default = default
config-saved = Saved in { $path }; a running node takes it up at its next start

invite-next = Give this link to one person, and to nobody else. It ends on { $date }.
invite-asks = Who uses it is shown by moim requests
invite-accepts = Who uses it is your contact at once: moim contacts
invite-without-address = No address of yours is known: the link works on this local network only. Run moim up once before inviting.
invite-revoked = Invitation { $id } is closed
invites-none = There are no open invitations. Make one: moim invite
picture-saved = Saved { $path }

add-connected = You are connected already: moim send "{ $name }" "hello"
add-next = You can write already: moim send "{ $name }" "hello". It is sent as soon as they accept.
contact-state = { $name }: { $state }
contact-pending = asked, not reached yet
contact-requested = reached, not accepted yet
contact-connected = connected
contact-blocked = blocked
contact-link-used = the link was used or closed: ask for a new one
contact-link-expired = the link expired: ask for a new one
contact-link-useless = the link leads to nobody: ask for a new one
contact-no-contact = not a contact
contact-declined = { $name } is declined
contact-removed = { $name } is removed; the history stays
contacts-none = No contacts yet. Invite someone: moim invite --qr
requests-none = Nobody waits for an answer
requests-next = Answer with moim accept NAME or moim decline NAME
requests-groups-next = Answer with moim group accept NAME or moim group decline NAME
verify-verified = Verified: these numbers were compared
verify-unverified = Not verified
verify-next = Read the number to each other in a call or in person, then: moim verify WHO --matches NUMBER

state-received = received
state-saved = saved
state-mailbox = at a mailbox
state-delivered = delivered
state-read = read
custody-counts = { $state } (delivered to { $delivered } of { $of }, read by { $read })
waiting-no-node = no node runs
waiting-not-accepted = not accepted yet
waiting-not-joined = you have not joined again
waiting-away = they are away
waiting-not-a-contact = not your contact any more
waiting-dead-link = the link does not work any more: ask for a new one
waiting-in-mailbox = no word yet that they fetched it
waiting-under-way = on its way
waiting-lost = lost: it cannot be read here any more, say it again
waiting-withdrawn = not sent: it was cancelled after the backup or copy was made
waiting-replaced = another device took the place of this one
waiting-removed = you were removed before they said that they have it
waiting-other = it waits
waiting-since = {", "}{ $why }, since { $since }
kind-file = [file]
kind-damaged = [this message is damaged: the disk does not hold what was written]
kind-other = [something that a newer moim shows]
send-state = { $id }: { $state }
log-none = No messages
chat-direct = 1-on-1
chat-group = group
chat-group-invited = group: you are invited
chat-group-pending = group: joining
chat-group-left = group: you left
chat-group-removed = group: you were removed
chat-self = notes to self
chats-unread = { $count } new
chats-none = No chats yet. Invite someone: moim invite --qr
receipts-told =
    { $own ->
        [true] Others in this chat learn what you read
       *[other] Others in this chat learn what you read, as the settings say
    }
receipts-kept =
    { $own ->
        [true] Others in this chat do not learn what you read from now on
       *[other] Others in this chat do not learn what you read, as the settings say
    }
read-marked =
    { $count ->
        [0] Nothing was unread
        [one] 1 message marked as read
       *[other] { $count } messages marked as read
    }
read-unread =
    { $count ->
        [one] 1 message is still unread
       *[other] { $count } messages are still unread
    }
timer-off = Messages that you write here stay
timer-is = Messages that you write here go after { $time }: from sending for you, from reading for the others
clear-done = Gone from this device
clear-goes-on = The newest messages are gone from this device; the node goes on with the others
clear-waiting =
    { $count ->
        [one] { $count } message of yours still goes to those who lack it: moim outbox lists it, and moim outbox cancel ID takes it back
       *[other] { $count } messages of yours still go to those who lack them: moim outbox lists them, and moim outbox cancel ID takes one back
    }
watch-begins = Watching. Ctrl+C ends it.
event-receipt = { $id }: { $state } ({ $name })
event-contact = Contact { $name } is new or changed
event-link-used = The link of { $name } was used by somebody else before you. Ask for a new one
event-link-expired = The link of { $name } expired before they were reached. Ask for a new one
event-session-restarted = The connection with { $name } began anew: one of you lost what the two devices shared
event-damaged = [something that happened cannot be read any more: the disk does not hold what was written]
event-replaced = WARNING: another device took the place of this one in your account. Nobody listens to this one any more. If it was not yours, somebody has your 24 words
event-rolled-back = WARNING: an older copy of this home's store or keys was put back. Every conversation begins anew, and what waited may be lost: moim outbox says what. Do not put copies back
event-other = Something happened that a newer moim can show
event-new-device = WARNING: { $name } has a new device. If they did not restore their account, somebody else has their 24 words. Ask them in a call, then: moim verify "{ $name }"
event-request = { $name } wants to become your contact: moim requests
event-group =
    { $count ->
        [one] Group { $name }: { $state } (1 member)
       *[other] Group { $name }: { $state } ({ $count } members)
    }
event-came = { $name } is online
event-went = { $name } is away

group-made = Group { $name } ({ $id }) is made
group-next = Invite contacts: moim group invite GROUP WHO
group-renamed = The group is now called { $name } ({ $id })
group-invited = invited
group-pending = joining
group-joined = joined
group-declined = declined
group-left = left
group-removed = you were removed
member-removed = { $name } ({ $id }) is no member any more. What was said before stays with them
member-removed-known =
    { $of ->
        [one] { $applied } of { $of } member knows it so far. moim group log GROUP shows how many do
       *[other] { $applied } of { $of } members know it so far. moim group log GROUP shows how many do
    }
member-promoted = { $name } ({ $id }) is an admin now
member-demoted = { $name } ({ $id }) is no admin any more
member-founder = { $name } ({ $id }) is the founder now, and you are an admin
group-log-none = There is no change to show that this device knows of
group-did-founded = { $by } founded the group, called { $name }
group-did-added = { $by } added { $who }
group-did-removed = { $by } removed { $who }
group-did-left = { $by } left
group-did-promoted = { $by } made { $who } an admin
group-did-demoted = { $by } took the role of { $who } away
group-did-handed-over = { $by } handed the group to { $who }
group-did-renamed = { $by } renamed the group to { $name }
group-did-mailbox-named = { $by } named the mailbox of { $who }: it keeps what is said here
group-did-mailbox-dropped = { $by } took the mailbox of { $who } away: it keeps nothing more of what is said here
group-did-settings = { $by } changed the settings of the group
group-did-device-replaced = A device of { $who } took the place of another (told by { $by })
group-did-device-added = { $who } has another device (told by { $by })
group-did-device-dropped = { $who } has a device less (told by { $by })
group-did-devices-listed = { $by } told of the devices of { $who } what was known
group-did-secret-changed = { $by } changed the group's secret
group-did-other = { $by } did something that a newer moim shows
group-applied =
    { $of ->
        [one] { $applied } of { $of } member is known to have applied it
       *[other] { $applied } of { $of } members are known to have applied it
    }
group-void = void: { $why }
group-void-removed = { $cause }, who is above { $by }, had removed { $by } before this was known
group-void-demoted = { $cause }, who is above { $by }, had taken the role of { $by } away before this was known
group-void-was-removed = { $by } was no member any more: { $cause } had removed { $by } before
group-void-had-left = { $by } was no member any more, after leaving
group-void-not-let-in = { $by } was no member: that { $cause } added { $by } does not count
group-void-not-member = { $by } was no member
group-void-target-was-removed = { $who } was no member any more: { $cause } had removed { $who } before
group-void-target-had-left = { $who } was no member any more, after leaving
group-void-target-not-let-in = { $who } was no member: that { $cause } added { $who } does not count
group-void-target-not-member = { $who } was no member
group-void-was-demoted = { $cause } had taken the role of { $by } away before
group-void-not-promoted = { $by } was no admin: that { $cause } made { $by } one does not count
group-void-gave-it-away = { $by } had handed the group to { $heir } before
group-void-not-founder = only the founder hands a group over
group-void-not-allowed = only the founder and admins do this, and { $by } was neither
group-void-outranked = { $who } was not below { $by }
group-void-oneself = nobody does this to themselves
group-void-join-used = { $who } had agreed once, and that was used before
group-void-handed-over = { $by } handed the group to { $heir } instead
group-void-not-their-device = it was signed on a device that was not { $by }'s
group-void-device-dropped = { $by } had given up the device that it was signed on, before this was known
group-void-other = by a rule that a newer moim knows
role-founder = founder
role-admin = admin
role-member = member

mailbox-serving = This node keeps mail for its contacts, and for holders of its mailbox links
mailbox-serving-next = Others use it by your name, or by a link: moim mailbox link
mailbox-not-serving = This node takes no mail for others; what it has can be fetched
mailbox-keeps =
    { $count ->
        [0] It keeps nothing at present
        [one] It keeps 1 sealed message
       *[other] It keeps { $count } sealed messages
    }{ $boxes ->
        [one] { " " }(1 box, { $size })
       *[other] { " " }({ $boxes } boxes, { $size })
    }
mailbox-link-next =
    Give this link to those whose mail you want to keep. It ends on { $date }.
    They use it by: moim mailbox add LINK
mailbox-nameless = mailbox { $id }
mailbox-state = { $name }: { $state }
mailbox-pending = asked, not answered yet
mailbox-active = keeps your mail
mailbox-refused = does not keep your mail
mailbox-gone = no longer used
mailbox-other = in a state that a newer moim knows
group-mailboxes-none = The group has no mailbox: who is away has what is said from members. Name one: moim group mailbox add GROUP MAILBOX
mailboxes-none = You have no mailbox: what is sent while you are away waits with its senders. Use one: moim mailbox add CONTACT
mailboxes-none-needed = You use no mailbox yourself, and need none while this node stays up
outbox-empty = Nothing waits
outbox-withdrawn = { $id } is taken back: nobody has it, and nobody will
outbox-under-way = { $id } is taken back, but it had been sent and may have arrived

testnet-next = Try: moim testnet exec 1 chats. Ctrl+C stops the testnet.
testnet-down =
    { $count ->
        [one] 1 node is stopped
       *[other] { $count } nodes are stopped
    }
man-written =
    { $count ->
        [one] 1 page written to { $path }
       *[other] { $count } pages written to { $path }
    }
demo-begins = Real nodes on this machine, on loopback alone, with homes that are removed afterwards:
demo-nodes =
    { $count ->
        [one] 1 node is up: { $names }
       *[other] { $count } nodes are up: { $names }
    }
demo-met = { $guest } followed the link of { $inviter }: they are contacts now
demo-group =
    { $count ->
        [one] Group { $name } is made, with 1 member
       *[other] Group { $name } is made, with { $count } members
    }
demo-said = { $from } → { $to }: { $text }  · { $state }
demo-away = { $name } goes away: the node is stopped
demo-back =
    { $count ->
        [0] { $name } is back
        [one] { $name } is back and has the message that came meanwhile
       *[other] { $name } is back and has the { $count } messages that came meanwhile
    }
demo-figures = Timed between two: { $rate } messages/s; delivered after { $p50 } (half), { $p99 } (99 of 100)
demo-kept-home =     moim --home { $home } chats    # { $name }
demo-kept = They stay up until Ctrl+C. Talk to them from another terminal:
demo-done =
    { $count ->
        [one] Done: 1 message in { $seconds } s, nothing lost, nothing twice
       *[other] Done: { $count } messages in { $seconds } s, nothing lost, nothing twice
    }
demo-next = Now yourself: moim init --name NAME
bench-begins = Measuring; this takes a while

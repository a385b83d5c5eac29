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
backup-keep = Your 24 words open it: moim restore FILE. Keep it apart from this device.
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

origin-flag = this command
origin-environment = environment
origin-file = config.toml
origin-default = default
config-saved = Saved in { $path }; a running node takes it up at its next start

invite-next =
    Give this link to one person, and to nobody else. It ends on { $date }.
    Who uses it is shown by moim requests
invite-without-address = No address of yours is known: the link works on this local network only. Run moim up once before inviting.
invite-revoked = Invitation { $id } is closed
invites-none = There are no open invitations. Make one: moim invite
picture-saved = Saved { $path }

add-next = You can write already: moim send "{ $name }" "hello". It is sent as soon as they accept.
contact-state = { $name }: { $state }
contact-pending = asked, not reached yet
contact-requested = reached, not accepted yet
contact-connected = connected
contact-blocked = blocked
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
waiting-away = they are away
waiting-other = it waits
waiting-since = {", "}{ $why }, since { $since }
kind-file = [file]
kind-other = [something that a newer moim shows]
send-state = { $id }: { $state }
log-none = No messages
chat-direct = 1-on-1
chat-group = group
chat-self = notes to self
chats-unread = { $count } new
chats-none = No chats yet. Invite someone: moim invite --qr
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
watch-begins = Watching. Ctrl+C ends it.
event-receipt = { $id }: { $state }
event-contact = Contact { $name } is new or changed
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
role-founder = founder
role-admin = admin
role-member = member

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

# Help pages: command-PATH and its examples, argument-PATH-NAME or argument-NAME.

heading-usage = Usage:
heading-examples = Examples:
heading-commands = Commands
heading-arguments = Arguments
heading-options = Options
heading-global = For every command
help-topics = The manual: moim help TOPIC, of: { $topics }

command-moim = A peer-to-peer messenger without anyone in the middle
    .examples =
        moim init --name mina         make an account on this device
        moim up                       run the node (in another terminal)
        moim invite --qr              invite someone
        moim add moim:1:…             follow an invitation
        moim send juno "hello"        write to a contact
        moim help guide               read the guide
command-init = Make an account and its home on this device
    .examples =
        moim init --name mina
        moim init --name mina --restore-words-file words.txt
command-words = Show the 24 recovery words
    .examples = moim words
command-backup = Write contacts, groups and history into a file that your 24 words open
    .examples = moim backup mina.age
command-restore = Bring an account back from a backup, as a new device that replaces the old one
    .examples =
        moim restore mina.age
        moim restore mina.age --restore-words-file words.txt
command-profile = Show or change your name, as others see it
    .examples =
        moim profile
        moim profile --name "Mina Kim"
command-up = Run the node until it is stopped
    .examples =
        moim up
        moim up --listen /ip4/0.0.0.0/udp/4001/quic-v1
        moim up --json --passphrase-file /run/secrets/moim
command-down = Stop the node
    .examples = moim down
command-status = Show how the node and its store are
    .examples =
        moim status
        moim status --json
command-id = Show your account's id and fingerprint
    .examples =
        moim id
        moim id --qr
        moim id --png me.png
command-invite = Make a link by which someone becomes your contact
    .examples =
        moim invite
        moim invite --qr --expires 5m --auto-accept
        moim invite --png poster.png
        moim invite list
command-invite-list = List open invitations
    .examples = moim invite list
command-invite-revoke = Close an invitation
    .examples = moim invite revoke k3vqxa
command-add = Follow an invitation link
    .examples =
        moim add moim:1:…
        moim add moim:1:… --as "Juno from work"
        moim add - < link.txt
command-contacts = List your contacts
    .examples = moim contacts
command-requests = List who and what waits for your answer
    .examples = moim requests
command-accept = Accept someone's request
    .examples = moim accept juno
command-decline = Decline someone's request
    .examples = moim decline juno
command-block = Take nothing more from a contact
    .examples = moim block juno
command-unblock = Take messages of a blocked contact again
    .examples = moim unblock juno
command-rename = Give a contact another name, for you alone
    .examples = moim rename juno "Juno from work"
command-remove = Forget a contact; the history stays
    .examples = moim remove juno
command-verify = Compare safety numbers with a contact
    .examples =
        moim verify juno
        moim verify juno --matches "12345 67890 …"
command-send = Send a message
    .examples =
        moim send juno "see you at seven"
        moim send "#hiking" "who is coming?" --wait delivered
        git diff | moim send juno -
command-log = Show the messages of a chat, oldest first
    .examples =
        moim log juno
        moim log "#hiking" -n 200 --search seven
command-chats = List your chats, the latest first
    .examples = moim chats
command-read = Mark the messages of a chat as read
    .examples =
        moim read juno
        moim read juno --up-to k3vqxa
command-receipts = Show or choose whether others in a chat learn what you read
    .examples =
        moim receipts juno
        moim receipts "#hiking" off
command-timer = Choose how long the messages last that you write in a chat
    .examples =
        moim timer juno 1d
        moim timer juno off
command-clear = Take what was said in a chat off this device; the others keep what they have
    .examples = moim clear juno
command-watch = Show what happens, as it happens
    .examples =
        moim watch
        moim watch --json --after 0
command-group = Chats of several people
    .examples =
        moim group new hiking
        moim group invite hiking juno sora
        moim group members hiking
command-group-new = Make a group
    .examples = moim group new hiking
command-group-invite = Invite contacts into a group
    .examples = moim group invite hiking juno sora
command-group-accept = Join a group that you are invited to
    .examples = moim group accept hiking
command-group-decline = Decline an invitation to a group
    .examples = moim group decline hiking
command-group-members = List the members of a group
    .examples = moim group members hiking
command-group-log = Show who did what in a group, whether it counts, and how many know of a removal
    .examples =
        moim group log hiking
        moim group log hiking --limit 200 --all
command-group-remove = End another's membership: nothing said after it is for them
    .examples = moim group remove hiking juno
command-group-promote = Make a member an admin, who invites, removes and renames
    .examples = moim group promote hiking juno
command-group-demote = Make an admin a member again
    .examples = moim group demote hiking juno
command-group-hand-over = Make a member the founder; you stay as an admin
    .examples = moim group hand-over hiking juno
command-group-rename = Give a group another name, for all
    .examples = moim group rename hiking "Sunday hikes"
command-group-mailbox = Mailboxes that keep what is said in a group for members who are away
    .examples =
        moim group mailbox add hiking juno
        moim group mailbox list hiking
command-group-mailbox-add = Have what is said in a group kept by one of your mailboxes, or by your own node
    .examples = moim group mailbox add hiking juno
command-group-mailbox-remove = Have it kept there no more
    .examples = moim group mailbox remove hiking juno
command-group-mailbox-list = List the mailboxes of a group
    .examples = moim group mailbox list hiking
command-group-leave = Leave a group; the history stays
    .examples = moim group leave hiking
command-mailbox = Nodes that keep mail for who is away
    .examples =
        moim mailbox add juno
        moim mailbox serve on
        moim mailbox list
command-mailbox-serve = Keep mail for your contacts and holders of your mailbox links, or end that
    .examples =
        moim mailbox serve on
        moim mailbox serve off
command-mailbox-link = Make a link by which others may have their mail kept by your node
    .examples = moim mailbox link
command-mailbox-add = Have your mail kept by a contact's node, or by that of a link
    .examples =
        moim mailbox add juno
        moim mailbox add moim:1:…
command-mailbox-remove = Leave a mailbox
    .examples = moim mailbox remove juno
command-mailbox-list = List your mailboxes, and what your node keeps for others
    .examples = moim mailbox list
command-outbox = List messages that have not arrived yet, to whom, and why
    .examples =
        moim outbox
        moim outbox cancel k3vqxa
command-outbox-cancel = Take back a message that nobody has yet
    .examples = moim outbox cancel k3vqxa
command-testnet = Many nodes on this machine, for tests and development
    .examples =
        moim testnet up -n 5
        moim testnet exec 2 chats
        moim testnet down
command-testnet-up = Start a testnet and keep it running
    .examples = moim testnet up -n 5 --seed 7
command-testnet-list = List the nodes of the testnet
    .examples = moim testnet list --json
command-testnet-exec = Run a command as one of the nodes
    .examples = moim testnet exec 2 send node1 hello
command-testnet-down = Stop the testnet
    .examples = moim testnet down
command-rpc = Serve the API to another program
    .examples = moim rpc --stdio
command-gen = Generate files for your system
    .examples =
        moim gen completions zsh > ~/.zfunc/_moim
        moim gen man ~/.local/share/man/man1
        moim gen systemd
command-gen-completions = Generate completions for a shell: bash, zsh, fish, elvish, powershell
    .examples = moim gen completions bash > ~/.local/share/bash-completion/completions/moim
command-gen-man = Write a manual page for every command into a folder
    .examples = moim gen man ~/.local/share/man/man1
command-gen-systemd = Print a hardened systemd unit
    .examples = moim gen systemd | sudo tee /etc/systemd/system/moim.service
command-demo = Watch real nodes on this machine talk to each other
    .examples =
        moim demo
        moim demo --keep
command-bench = Measure moim on this machine
    .examples = moim bench --json
command-config = Show settings and where they come from, or change one
    .examples =
        moim config
        moim config language ko
        moim config receipts.read off
command-help = Read the manual, or the help of a command
    .examples =
        moim help
        moim help guide
        moim help send

argument-home = The folder of the account (else MOIM_HOME, else the XDG data folder)
argument-passphrase-file = Read the passphrase from the first line of this file
argument-json = Print JSON: one object, or one a line
argument-quiet = Print data and errors only
argument-no-color = No colours (as NO_COLOR does)
argument-lang = The language of texts: en, ko
argument-help = Show help
argument-version = Show the version
argument-backup-file = The file to make
argument-restore-file = The backup
argument-init-name = Your name, as others will see it
argument-no-passphrase = Do not protect the home with a passphrase
argument-restore-words-file = Restore the account whose 24 words are in this file
argument-profile-name = Your new name
argument-listen = Listen here; may be repeated
argument-bootstrap = Begin with this peer; may be repeated
argument-no-mdns = Do not look for peers on the local network
argument-qr = Draw a QR code
argument-ascii = Draw a QR code in ASCII
argument-png = Save a QR code as an image
argument-expires = How long the link is good: 10m, 7d (default 7d)
argument-auto-accept = Accept the first who uses the link without asking
argument-invite = Its id, the beginning of it, or the link
argument-link = The link, or - to read it from stdin
argument-add-name = What to call them, for you alone
argument-who = A contact: name, id, or its first 6 letters or more
argument-rename-name = The new name
argument-matches = The number that the other side reads out: if it is the same, the contact is verified
argument-chat = A chat: name, @contact, #group, me, or id
argument-text = The text, or - to read it from stdin
argument-reply-to = The message that this one answers
argument-wait = Wait until the message is saved, mailbox, delivered or read (default saved)
argument-timeout = How long to wait: 30s, 5m (default 30s)
argument-limit = How many messages (default 50)
argument-before = Only messages before this one
argument-search = Only messages with this text
argument-choice = on, off, or default: as receipts.read in the settings
argument-up-to = The last message that you have read (default: all)
argument-timer = A time such as 1h or 7d, or off: from sending for you, from reading for the others (default: show it)
argument-after = Go on behind this cursor; 0 is the beginning (default: from now on)
argument-group = A group: name or id
argument-group-invite-who = Contacts: names or ids
argument-group-new-name = The name of the group
argument-group-mailbox-add-mailbox = One of your mailboxes, or your own name: your node, if it keeps mail
argument-group-mailbox-remove-mailbox = A mailbox of the group: the name or id of whose node it is
argument-group-log-limit = How many changes (default 50)
argument-group-log-before = Only changes before this one
argument-all = Show changes of the group's secret too, and what devices pass on of others
argument-group-remove-member = A member: name or id
argument-group-promote-member = A member: name or id
argument-group-demote-member = An admin: name or id
argument-group-hand-over-member = A member: name or id
argument-group-rename-name = The new name
argument-switch = on or off
argument-mailbox-add-at = A contact, a mailbox link, or - to read the link from stdin
argument-mailbox-remove-at = A mailbox: the name or id of whose node it is
argument-outbox-cancel-id = The message: its id or the beginning of it
argument-nodes = How many nodes (default 3)
argument-seed = Make the same accounts as with this seed before
argument-node = A node: number or name
argument-command = The command, without “moim”
argument-stdio = JSON-RPC 2.0 on stdin and stdout, one message a line
argument-keep = Then leave the nodes up until Ctrl+C, and show how to talk to them
argument-shell = bash, zsh, fish, elvish or powershell
argument-dir = The folder
argument-key = The setting
argument-value = Its new value
argument-topic = A page of the manual, or a command

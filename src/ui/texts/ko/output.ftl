# 명령이 하는 말.

label-error = 오류:
ask-passphrase = 암호:
ask-new-passphrase = 새 암호:
ask-words = 복구 단어 24개:
ask-again = 한 번 더:

word-yes = 예
word-no = 아니요
word-online = 접속 중
word-away = 자리 비움
word-verified = 확인됨
word-unverified = 확인 안 됨
word-new-device = { $since }부터 새 기기: 번호를 다시 비교하세요

column-name = 이름
column-state = 상태
column-here = 접속
column-identity = 신원
column-id = ID
column-expires = 만료
column-auto-accept = 자동 수락
column-requests = 요청
column-since = 시각
column-fingerprint = 지문
column-group = 모임
column-from = 보낸 사람
column-to = 받는 이
column-why = 까닭
column-kind = 종류
column-unread = 안 읽음
column-last = 마지막 메시지
column-role = 역할
column-number = 번호
column-home = 홈
column-address = 주소
column-setting = 설정
column-value = 값
column-origin = 출처
column-load = 작업
column-count = 횟수
column-per-second = 초당
column-p50 = 절반이 이 안에
column-p99 = 99%가 이 안에

identity-name = 이름    { $name }
identity-account = 계정    { $account }
identity-fingerprint = 지문    { $fingerprint }
init-next =
    계정이 준비되었습니다. 다음으로:
      moim words    복구 단어를 적어 두세요. 계정을 되찾을 유일한 방법입니다
      moim up       노드를 실행합니다
init-restored = 계정을 새 기기로 되살렸습니다. 다음으로: moim up
words-keep = 이 단어들을 종이에 적어 보관하세요. 단어를 가진 사람이 계정을 가집니다.
backup-written = { $path }, { $size }
backup-damaged = 이 홈에서 손상되어 백업에 들어가지 못한 것이 { $count }개 있습니다.
backup-keep = 복구 단어 24개로 열 수 있습니다: moim restore 파일. 이 기기와 다른 곳에 두고, 가끔 새로 만드세요.
restore-messages = 메시지 { $count }개
restore-next = 계정이 이전 기기를 대신하는 새 기기로 돌아왔습니다. 다음: moim up

up-ready = 준비됨: { $peer } { $addrs }
up-stop = Ctrl+C 또는 moim down 으로 멈춥니다
down-stopping = 노드를 멈추는 중입니다
status-running = moim { $version }, 실행 중
status-stopped = moim { $version }, 실행 중 아님
status-start = 노드 실행: moim up
status-peer = 피어    { $peer }
status-address = 주소    { $address }
status-peers = 연결    피어 { $count }개
status-outbox =
    { $count ->
        [0] 보낼편지 없음
       *[other] 보낼편지 { $count }개가 기다리는 중
    }
status-chats = 대화    { $count }개, 디스크 { $size }
status-replaced = 바뀜    다른 기기가 이 기기를 대신해 아무도 이 기기의 말을 듣지 않습니다 ({ $since }에 알게 됨)
status-rolled-back = 되돌림  예전 사본을 되돌린 것을 { $since }에 알아채고 모두 새로 시작했습니다. 사본을 되돌리지 마세요

origin-flag = 이 명령
origin-environment = 환경 변수
origin-file = 설정 파일
origin-default = 기본값
config-saved = { $path }에 저장했습니다. 실행 중인 노드는 다음에 시작할 때 적용합니다

invite-next = 이 링크는 한 사람에게만 주세요. { $date }에 끝납니다.
invite-asks = 누가 썼는지는 moim requests 로 봅니다
invite-accepts = 링크를 쓴 사람은 바로 친구가 됩니다: moim contacts
invite-without-address = 내 주소를 아직 모릅니다. 이 링크는 같은 네트워크에서만 쓸 수 있습니다. 초대하기 전에 moim up 을 한 번 실행하세요.
invite-revoked = 초대 { $id }: 닫았습니다
invites-none = 열려 있는 초대가 없습니다. 만들기: moim invite
picture-saved = { $path }에 저장했습니다

add-connected = 이미 연결되어 있습니다: moim send "{ $name }" "안녕"
add-next = 지금부터 쓸 수 있습니다: moim send "{ $name }" "안녕". 상대가 받아들이면 바로 보냅니다.
contact-state = { $name }: { $state }
contact-pending = 요청함, 아직 닿지 않음
contact-requested = 요청이 닿음, 수락을 기다림
contact-connected = 연결됨
contact-blocked = 차단됨
contact-link-used = 이미 쓰였거나 닫힌 링크입니다: 새 링크를 부탁하세요
contact-link-expired = 끝난 링크입니다: 새 링크를 부탁하세요
contact-link-useless = 쓸 수 없는 링크입니다: 새 링크를 부탁하세요
contact-no-contact = 친구 아님
contact-declined = { $name } 님의 요청을 거절했습니다
contact-removed = { $name } 님을 지웠습니다. 대화 기록은 남아 있습니다
contacts-none = 아직 친구가 없습니다. 초대하기: moim invite --qr
requests-none = 답을 기다리는 요청이 없습니다
requests-next = moim accept 이름 또는 moim decline 이름 으로 답합니다
requests-groups-next = moim group accept 이름 또는 moim group decline 이름 으로 답합니다
verify-verified = 확인됨: 번호를 비교했습니다
verify-unverified = 아직 확인하지 않았습니다
verify-next = 통화하거나 만나서 번호를 서로 읽은 다음: moim verify 이름 --matches 번호

state-received = 받음
state-saved = 저장됨
state-mailbox = 우편함에 있음
state-delivered = 전달됨
state-read = 읽음
custody-counts = { $state } ({ $of }명 중 { $delivered }명에게 전달, { $read }명이 읽음)
waiting-no-node = 실행 중인 노드 없음
waiting-not-accepted = 아직 수락하지 않음
waiting-not-joined = 아직 다시 들어가지 않음
waiting-away = 상대가 자리에 없음
waiting-not-a-contact = 더는 연락처가 아님
waiting-dead-link = 더는 쓸 수 없는 링크: 새 링크를 부탁하세요
waiting-in-mailbox = 찾아갔다는 소식이 아직 없음
waiting-under-way = 보내는 중
waiting-lost = 사라짐: 여기서 더는 읽을 수 없으니 다시 말하세요
waiting-withdrawn = 보내지 않음: 백업이나 사본을 만든 뒤에 취소한 메시지
waiting-replaced = 다른 기기가 이 기기를 대신함
waiting-removed = 받았다는 소식이 오기 전에 모임에서 내보내짐
waiting-other = 기다리는 중
waiting-since = {", "}{ $why }, { $since }부터
kind-file = [파일]
kind-damaged = [손상된 메시지입니다: 디스크에 기록한 것이 그대로 있지 않습니다]
kind-other = [더 새로운 moim에서 볼 수 있는 내용]
send-state = { $id }: { $state }
log-none = 메시지가 없습니다
chat-direct = 1:1
chat-group = 모임
chat-group-invited = 모임: 초대받음
chat-group-pending = 모임: 들어가는 중
chat-group-left = 모임: 나감
chat-group-removed = 모임: 내보내짐
chat-self = 나에게
chats-unread = 새 메시지 { $count }개
chats-none = 아직 대화가 없습니다. 초대하기: moim invite --qr
receipts-told =
    { $own ->
        [true] 이 대화의 상대에게 읽음을 알립니다
       *[other] 설정에 따라 이 대화의 상대에게 읽음을 알립니다
    }
receipts-kept =
    { $own ->
        [true] 이제부터 이 대화의 상대에게 읽음을 알리지 않습니다
       *[other] 설정에 따라 이 대화의 상대에게 읽음을 알리지 않습니다
    }
read-marked =
    { $count ->
        [0] 안 읽은 메시지가 없습니다
       *[other] 메시지 { $count }개를 읽음으로 표시했습니다
    }
read-unread = 안 읽은 메시지가 { $count }개 남아 있습니다
timer-off = 여기에 쓰는 메시지는 계속 남습니다
timer-is = 여기에 쓰는 메시지는 { $time } 뒤에 사라집니다. 나에게는 보낸 때부터, 상대에게는 읽은 때부터입니다
clear-done = 이 기기에서 지웠습니다
clear-goes-on = 최근 메시지를 이 기기에서 지웠고, 나머지는 노드가 이어서 지웁니다
clear-waiting = 아직 받지 못한 사람에게 갈 내 메시지가 { $count }개 남았습니다. 목록은 moim outbox, 거두려면 moim outbox cancel ID
watch-begins = 지켜보는 중입니다. Ctrl+C 로 끝냅니다.
event-receipt = { $id }: { $state } ({ $name })
event-contact = { $name } 님이 새로 들어왔거나 바뀌었습니다
event-link-used = { $name } 님의 링크를 다른 사람이 먼저 썼습니다. 새 링크를 부탁하세요
event-link-expired = { $name } 님과 연결되기 전에 링크가 끝났습니다. 새 링크를 부탁하세요
event-session-restarted = { $name } 님과의 연결을 새로 시작했습니다. 두 기기 중 하나가 함께 가진 것을 잃었습니다
event-damaged = [읽을 수 없게 된 일이 있습니다: 디스크에 기록한 것이 그대로 있지 않습니다]
event-replaced = 경고: 다른 기기가 내 계정에서 이 기기를 대신합니다. 이제 아무도 이 기기의 말을 듣지 않습니다. 내가 한 일이 아니라면 다른 사람이 24개 단어를 가진 것입니다
event-rolled-back = 경고: 이 홈의 저장소나 열쇠가 예전 사본으로 바뀌었습니다. 모든 대화를 새로 시작하며, 기다리던 메시지는 사라졌을 수 있습니다(moim outbox로 확인). 사본을 되돌리지 마세요
event-other = 새 버전의 moim이 보여 줄 수 있는 일이 있었습니다
event-new-device = 경고: { $name } 님의 새 기기가 나타났습니다. 본인이 계정을 복원한 것이 아니라면 다른 사람이 24개 단어를 가진 것입니다. 통화로 물어본 다음: moim verify "{ $name }"
event-request = { $name } 님이 친구가 되고 싶어 합니다: moim requests
event-group = 모임 { $name }: { $state } ({ $count }명)
event-came = { $name } 님이 접속했습니다
event-went = { $name } 님이 자리를 비웠습니다

group-made = 모임 { $name } ({ $id }): 만들었습니다
group-next = 친구 초대하기: moim group invite 모임 친구
group-renamed = 모임의 새 이름: { $name } ({ $id })
group-invited = 초대함
group-pending = 들어가는 중
group-joined = 들어감
group-declined = 거절함
group-left = 나감
group-removed = 내보내짐
member-removed = { $name } ({ $id }) 님은 이제 구성원이 아닙니다. 그동안의 대화는 그에게 남습니다
member-removed-known = 지금까지 구성원 { $of }명 중 { $applied }명이 압니다. moim group log 모임 으로 몇 명이 아는지 봅니다
member-promoted = { $name } ({ $id }) 님은 이제 관리자입니다
member-demoted = { $name } ({ $id }) 님은 이제 관리자가 아닙니다
member-founder = { $name } ({ $id }) 님이 이제 모임의 주인이고, 나는 관리자입니다
group-log-none = 이 기기가 아는 변경 중 보여 줄 것이 없습니다
group-did-founded = { $by } 님이 모임을 만듦: { $name }
group-did-added = { $by } 님이 { $who } 님을 들임
group-did-removed = { $by } 님이 { $who } 님을 내보냄
group-did-left = { $by } 님이 나감
group-did-promoted = { $by } 님이 { $who } 님을 관리자로 정함
group-did-demoted = { $by } 님이 { $who } 님의 역할을 거둠
group-did-handed-over = { $by } 님이 { $who } 님에게 모임을 넘김
group-did-renamed = { $by } 님이 모임 이름을 바꿈: { $name }
group-did-mailbox-named = { $by } 님이 { $who } 님의 우편함을 정함: 여기서 오간 말을 맡아 둠
group-did-mailbox-dropped = { $by } 님이 { $who } 님의 우편함을 거둠: 여기서 오가는 말을 더 맡지 않음
group-did-settings = { $by } 님이 모임 설정을 바꿈
group-did-device-replaced = { $who } 님의 기기가 다른 기기를 대신함 ({ $by } 님이 알림)
group-did-device-added = { $who } 님의 기기가 늘어남 ({ $by } 님이 알림)
group-did-device-dropped = { $who } 님의 기기가 줄어듦 ({ $by } 님이 알림)
group-did-devices-listed = { $by } 님이 { $who } 님의 기기를 다시 알림
group-did-secret-changed = { $by } 님이 모임의 비밀 열쇠를 바꿈
group-did-other = { $by } 님이 더 새로운 moim에서 볼 수 있는 일을 함
group-applied = 구성원 { $of }명 중 { $applied }명이 적용한 것으로 확인됨
group-void = 무효: { $why }
group-void-removed = 이 일이 알려지기 전에, { $by } 님보다 위인 { $cause } 님이 { $by } 님을 내보냈습니다
group-void-demoted = 이 일이 알려지기 전에, { $by } 님보다 위인 { $cause } 님이 { $by } 님의 역할을 거두었습니다
group-void-was-removed = { $cause } 님이 먼저 내보내, { $by } 님은 구성원이 아니었습니다
group-void-had-left = 먼저 나간 { $by } 님은 구성원이 아니었습니다
group-void-not-let-in = { $cause } 님이 { $by } 님을 들인 일이 무효라, { $by } 님은 구성원이 아니었습니다
group-void-not-member = { $by } 님은 구성원이 아니었습니다
group-void-target-was-removed = { $cause } 님이 먼저 내보내, { $who } 님은 구성원이 아니었습니다
group-void-target-had-left = 먼저 나간 { $who } 님은 구성원이 아니었습니다
group-void-target-not-let-in = { $cause } 님이 { $who } 님을 들인 일이 무효라, { $who } 님은 구성원이 아니었습니다
group-void-target-not-member = { $who } 님은 구성원이 아니었습니다
group-void-was-demoted = { $cause } 님이 먼저 { $by } 님의 역할을 거두었습니다
group-void-not-promoted = { $cause } 님이 { $by } 님을 관리자로 정한 일이 무효라, { $by } 님은 관리자가 아니었습니다
group-void-gave-it-away = { $by } 님은 먼저 모임을 { $heir } 님에게 넘겼습니다
group-void-not-founder = 모임은 만든 사람만 넘길 수 있습니다
group-void-not-allowed = 만든 사람과 관리자만 할 수 있는데, { $by } 님은 둘 다 아니었습니다
group-void-outranked = { $who } 님은 { $by } 님보다 아래가 아니었습니다
group-void-oneself = 스스로에게는 할 수 없는 일입니다
group-void-join-used = { $who } 님의 동의는 한 번뿐이고, 이미 쓰였습니다
group-void-handed-over = { $by } 님은 모임을 { $heir } 님에게 넘겼습니다
group-void-not-their-device = { $by } 님의 것이 아닌 기기에서 서명되었습니다
group-void-device-dropped = 이 일이 알려지기 전에, { $by } 님이 서명한 기기를 그만 쓰기로 했습니다
group-void-other = 더 새로운 moim이 아는 규칙에 따라
role-founder = 만든 사람
role-admin = 관리자
role-member = 구성원

mailbox-serving = 이 노드는 친구와 우편함 링크를 가진 사람의 우편을 맡습니다
mailbox-serving-next = 다른 사람은 내 이름이나 링크로 쓸 수 있습니다: moim mailbox link
mailbox-not-serving = 이 노드는 다른 사람의 우편을 새로 맡지 않습니다. 맡은 것은 찾아갈 수 있습니다
mailbox-keeps =
    { $count ->
        [0] 지금 맡은 것이 없습니다 (우편함 { $boxes }개, { $size })
       *[other] 봉인된 메시지 { $count }개를 맡고 있습니다 (우편함 { $boxes }개, { $size })
    }
mailbox-link-next =
    우편을 맡아 줄 사람에게 이 링크를 주세요. { $date }에 끝납니다.
    받은 사람은 이렇게 씁니다: moim mailbox add 링크
mailbox-nameless = 우편함 { $id }
mailbox-state = { $name }: { $state }
mailbox-pending = 요청함, 아직 답이 없음
mailbox-active = 내 우편을 맡고 있음
mailbox-refused = 내 우편을 맡지 않음
mailbox-gone = 더 쓰지 않음
mailbox-other = 더 새로운 moim이 아는 상태
group-mailboxes-none = 모임에 우편함이 없어, 자리를 비운 사람은 구성원에게서 대화를 받습니다. 정하려면: moim group mailbox add GROUP MAILBOX
mailboxes-none = 우편함이 없습니다. 자리에 없는 동안 온 메시지는 보낸 사람에게서 기다립니다. 쓰기: moim mailbox add 친구
mailboxes-none-needed = 다른 우편함은 쓰지 않습니다. 이 노드가 켜져 있는 동안은 없어도 됩니다
outbox-empty = 기다리는 메시지가 없습니다
outbox-withdrawn = { $id }: 거두었습니다. 아무도 받지 못했고 받지 못합니다
outbox-under-way = { $id }: 거두었지만 이미 보냈던 것이라 도착했을 수도 있습니다

testnet-next = 해 보기: moim testnet exec 1 chats. Ctrl+C 로 시험망을 멈춥니다.
testnet-down = 노드 { $count }개를 멈췄습니다
man-written = { $path }에 문서 { $count }개를 썼습니다
demo-begins = 이 컴퓨터 안에서만 연결되는 진짜 노드들입니다. 홈은 끝나면 지웁니다:
demo-nodes = 노드 { $count }개 실행: { $names }
demo-met = { $guest } 님이 { $inviter } 님의 링크를 따라와 서로 친구가 되었습니다
demo-group = 모임 { $name }: { $count }명으로 만들었습니다
demo-said = { $from } → { $to }: { $text }  · { $state }
demo-away = { $name } 님이 자리를 비웁니다: 노드를 멈췄습니다
demo-back =
    { $count ->
        [0] { $name } 님이 돌아왔습니다
       *[other] { $name } 님이 돌아와 그사이 온 메시지 { $count }개를 받았습니다
    }
demo-figures = 두 노드 사이: 초당 메시지 { $rate }개, 전달까지 절반은 { $p50 }, 100개 중 99개는 { $p99 } 안
demo-kept-home =     moim --home { $home } chats    # { $name }
demo-kept = Ctrl+C 를 누를 때까지 켜져 있습니다. 다른 터미널에서 말을 걸어 보세요:
demo-done = 끝: { $seconds }초 동안 메시지 { $count }개, 잃은 것도 겹친 것도 없습니다
demo-next = 이제 직접: moim init --name 이름
bench-begins = 재는 중입니다. 시간이 좀 걸립니다

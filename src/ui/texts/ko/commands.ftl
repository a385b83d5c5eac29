# 도움말: command-경로와 예, argument-경로-이름 또는 argument-이름.

heading-usage = 사용법:
heading-examples = 예:
heading-commands = 명령
heading-arguments = 인자
heading-options = 옵션
heading-global = 모든 명령에 공통
help-topics = 설명서: moim help 주제. 주제: { $topics }

command-moim = 가운데에 아무도 없는 개인 대 개인 메신저
    .examples =
        moim init --name 미나         이 기기에 계정 만들기
        moim up                       노드 실행 (다른 터미널에서)
        moim invite --qr              초대하기
        moim add moim:1:…             초대 링크 따라가기
        moim send 준호 "안녕"         메시지 보내기
        moim help guide               안내서 읽기
command-init = 이 기기에 계정과 홈 만들기
    .examples =
        moim init --name 미나
        moim init --name 미나 --restore-words-file words.txt
command-words = 복구 단어 24개 보기
    .examples = moim words
command-backup = 연락처, 모임, 대화를 복구 단어 24개로 여는 파일에 저장
    .examples = moim backup mina.age
command-restore = 백업에서 계정을 이전 기기를 대신하는 새 기기로 되살리기
    .examples =
        moim restore mina.age
        moim restore mina.age --restore-words-file words.txt
command-profile = 남에게 보이는 내 이름 보기 또는 바꾸기
    .examples =
        moim profile
        moim profile --name "김미나"
command-up = 멈출 때까지 노드 실행하기
    .examples =
        moim up
        moim up --listen /ip4/0.0.0.0/udp/4001/quic-v1
        moim up --json --passphrase-file /run/secrets/moim
command-down = 노드 멈추기
    .examples = moim down
command-status = 노드와 저장소 상태 보기
    .examples =
        moim status
        moim status --json
command-id = 내 계정 ID와 지문 보기
    .examples =
        moim id
        moim id --qr
        moim id --png me.png
command-invite = 친구가 될 수 있는 초대 링크 만들기
    .examples =
        moim invite
        moim invite --qr --expires 5m --auto-accept
        moim invite --png poster.png
        moim invite list
command-invite-list = 열려 있는 초대 목록
    .examples = moim invite list
command-invite-revoke = 초대 닫기
    .examples = moim invite revoke k3vqxa
command-add = 초대 링크 따라가기
    .examples =
        moim add moim:1:…
        moim add moim:1:… --as "회사 준호"
        moim add - < link.txt
command-contacts = 친구 목록
    .examples = moim contacts
command-requests = 내 답을 기다리는 요청 목록
    .examples = moim requests
command-accept = 요청 받아들이기
    .examples = moim accept 준호
command-decline = 요청 거절하기
    .examples = moim decline 준호
command-block = 친구 차단하기
    .examples = moim block 준호
command-unblock = 차단 풀기
    .examples = moim unblock 준호
command-rename = 나에게만 보이는 친구 이름 바꾸기
    .examples = moim rename 준호 "회사 준호"
command-remove = 친구 지우기 (대화 기록은 남음)
    .examples = moim remove 준호
command-verify = 친구와 안전 번호 비교하기
    .examples =
        moim verify 준호
        moim verify 준호 --matches "12345 67890 …"
command-send = 메시지 보내기
    .examples =
        moim send 준호 "일곱 시에 봐"
        moim send "#등산" "누가 와?" --wait delivered
        git diff | moim send 준호 -
command-log = 대화 내용을 오래된 것부터 보기
    .examples =
        moim log 준호
        moim log "#등산" -n 200 --search 일곱
command-chats = 대화 목록 (최근 것부터)
    .examples = moim chats
command-read = 대화를 읽음으로 표시하기
    .examples =
        moim read 준호
        moim read 준호 --up-to k3vqxa
command-receipts = 이 대화에서 읽음을 알릴지 보기 또는 정하기
    .examples =
        moim receipts 준호
        moim receipts "#등산" off
command-timer = 내가 쓰는 메시지가 얼마나 남을지 정하기
    .examples =
        moim timer 준호 1d
        moim timer 준호 off
command-clear = 대화에서 나눈 말을 이 기기에서 지우기. 상대에게 있는 것은 그대로 남습니다
    .examples = moim clear 준호
command-watch = 일어나는 일을 바로 보기
    .examples =
        moim watch
        moim watch --json --after 0
command-group = 여럿이 하는 대화
    .examples =
        moim group new 등산
        moim group invite 등산 준호 소라
        moim group members 등산
command-group-new = 모임 만들기
    .examples = moim group new 등산
command-group-invite = 모임에 친구 초대하기
    .examples = moim group invite 등산 준호 소라
command-group-accept = 초대받은 모임에 들어가기
    .examples = moim group accept 등산
command-group-decline = 모임 초대 거절하기
    .examples = moim group decline 등산
command-group-members = 모임 구성원 목록
    .examples = moim group members 등산
command-group-log = 모임에서 누가 무엇을 했는지, 그것이 유효한지, 내보낸 일을 몇 명이 아는지 보기
    .examples =
        moim group log 등산
        moim group log 등산 --limit 200 --all
command-group-remove = 구성원 내보내기: 그 뒤의 대화는 보이지 않음
    .examples = moim group remove 등산 준호
command-group-promote = 구성원을 관리자로 (초대하고 내보내고 이름을 바꿀 수 있음)
    .examples = moim group promote 등산 준호
command-group-demote = 관리자를 다시 구성원으로
    .examples = moim group demote 등산 준호
command-group-hand-over = 모임 넘기기 (나는 관리자로 남음)
    .examples = moim group hand-over 등산 준호
command-group-rename = 모두에게 보이는 모임 이름 바꾸기
    .examples = moim group rename 등산 "일요 등산"
command-group-mailbox = 자리를 비운 구성원을 위해 모임의 대화를 맡아 두는 우편함
    .examples =
        moim group mailbox add hiking juno
        moim group mailbox list hiking
command-group-mailbox-add = 내 우편함이나 내 노드에 모임의 대화 맡기기
    .examples = moim group mailbox add hiking juno
command-group-mailbox-remove = 그곳에 더 맡기지 않기
    .examples = moim group mailbox remove hiking juno
command-group-mailbox-list = 모임의 우편함 보기
    .examples = moim group mailbox list hiking
command-group-leave = 모임에서 나가기 (대화 기록은 남음)
    .examples = moim group leave 등산
command-mailbox = 자리에 없는 사람의 우편을 맡는 노드
    .examples =
        moim mailbox add 준호
        moim mailbox serve on
        moim mailbox list
command-mailbox-serve = 친구와 우편함 링크를 가진 사람의 우편을 맡기 시작하거나 그만두기
    .examples =
        moim mailbox serve on
        moim mailbox serve off
command-mailbox-link = 내 노드에 우편을 맡길 수 있는 링크 만들기
    .examples = moim mailbox link
command-mailbox-add = 친구의 노드나 링크의 노드에 내 우편 맡기기
    .examples =
        moim mailbox add 준호
        moim mailbox add moim:1:…
command-mailbox-remove = 우편함 그만 쓰기
    .examples = moim mailbox remove 준호
command-mailbox-list = 내 우편함과 내 노드가 맡은 것 보기
    .examples = moim mailbox list
command-outbox = 아직 도착하지 않은 메시지와 그 까닭 보기
    .examples =
        moim outbox
        moim outbox cancel k3vqxa
command-outbox-cancel = 아직 아무도 받지 못한 메시지 거두기
    .examples = moim outbox cancel k3vqxa
command-testnet = 이 컴퓨터에서 도는 여러 노드 (시험과 개발용)
    .examples =
        moim testnet up -n 5
        moim testnet exec 2 chats
        moim testnet down
command-testnet-up = 시험망을 시작하고 계속 실행하기
    .examples = moim testnet up -n 5 --seed 7
command-testnet-list = 시험망의 노드 목록
    .examples = moim testnet list --json
command-testnet-exec = 시험망의 한 노드로 명령 실행하기
    .examples = moim testnet exec 2 send node1 안녕
command-testnet-down = 시험망 멈추기
    .examples = moim testnet down
command-rpc = 다른 프로그램에 API 열어 주기
    .examples = moim rpc --stdio
command-gen = 시스템에 쓸 파일 만들기
    .examples =
        moim gen completions zsh > ~/.zfunc/_moim
        moim gen man ~/.local/share/man/man1
        moim gen systemd
command-gen-completions = 셸 자동 완성 만들기: bash, zsh, fish, elvish, powershell
    .examples = moim gen completions bash > ~/.local/share/bash-completion/completions/moim
command-gen-man = 모든 명령의 man 문서를 폴더에 쓰기
    .examples = moim gen man ~/.local/share/man/man1
command-gen-systemd = 권한을 좁힌 systemd 유닛 출력하기
    .examples = moim gen systemd | sudo tee /etc/systemd/system/moim.service
command-demo = 이 컴퓨터에서 진짜 노드들이 대화하는 모습 보기
    .examples =
        moim demo
        moim demo --keep
command-bench = 이 컴퓨터에서 moim 성능 재기
    .examples = moim bench --json
command-config = 설정과 그 출처 보기, 또는 하나 바꾸기
    .examples =
        moim config
        moim config language ko
        moim config receipts.read off
command-help = 설명서나 명령 도움말 읽기
    .examples =
        moim help
        moim help guide
        moim help send

argument-home = 계정 폴더 (없으면 MOIM_HOME, 그것도 없으면 XDG 데이터 폴더)
argument-passphrase-file = 이 파일의 첫 줄에서 암호를 읽음
argument-json = JSON으로 출력: 객체 하나, 또는 한 줄에 하나
argument-quiet = 데이터와 오류만 출력
argument-no-color = 색 없이 출력 (NO_COLOR와 같음)
argument-lang = 표시 언어: en, ko
argument-help = 도움말 보기
argument-version = 버전 보기
argument-backup-file = 만들 파일
argument-restore-file = 백업 파일
argument-init-name = 남에게 보일 내 이름
argument-no-passphrase = 암호 없이 홈 만들기
argument-restore-words-file = 이 파일에 적힌 단어 24개의 계정을 되살림
argument-profile-name = 새 이름
argument-listen = 이 주소에서 연결을 받음 (여러 번 쓸 수 있음)
argument-bootstrap = 이 피어부터 시작 (여러 번 쓸 수 있음)
argument-no-mdns = 같은 네트워크에서 피어를 찾지 않음
argument-qr = QR 코드 그리기
argument-ascii = QR 코드를 ASCII로 그리기
argument-png = QR 코드를 그림 파일로 저장
argument-expires = 링크 유효 기간: 10m, 7d (기본 7d)
argument-auto-accept = 링크를 처음 쓴 사람을 묻지 않고 받아들임
argument-invite = 초대 ID나 그 앞부분, 또는 링크
argument-link = 링크, 또는 표준 입력에서 읽으려면 -
argument-add-name = 나에게만 보이는 이름
argument-who = 친구: 이름, ID, 또는 ID의 앞 6자 이상
argument-rename-name = 새 이름
argument-matches = 상대가 읽어 준 번호. 같으면 확인된 친구가 됨
argument-chat = 대화: 이름, @친구, #모임, me(나), 또는 ID
argument-text = 글, 또는 표준 입력에서 읽으려면 -
argument-reply-to = 답할 메시지
argument-wait = 이 상태까지 기다림: saved, mailbox, delivered, read (기본 saved)
argument-timeout = 기다릴 시간: 30s, 5m (기본 30s)
argument-limit = 메시지 수 (기본 50)
argument-before = 이 메시지보다 앞선 것만
argument-search = 이 글이 들어 있는 것만
argument-choice = on, off, default(설정의 receipts.read를 따름) 중 하나
argument-up-to = 마지막으로 읽은 메시지 (기본: 모두)
argument-timer = 1h, 7d 같은 시간 또는 off. 나에게는 보낸 때부터, 상대에게는 읽은 때부터 (기본: 지금 설정 보기)
argument-after = 이 위치 다음부터. 0은 처음 (기본: 지금부터)
argument-group = 모임: 이름 또는 ID
argument-group-invite-who = 친구: 이름 또는 ID
argument-group-new-name = 모임 이름
argument-group-mailbox-add-mailbox = 내 우편함, 또는 내 이름 (우편을 맡는 내 노드)
argument-group-mailbox-remove-mailbox = 모임의 우편함: 그 노드 주인의 이름이나 ID
argument-group-log-limit = 변경 수 (기본 50)
argument-group-log-before = 이 변경보다 앞선 것만
argument-all = 비밀 열쇠를 바꾼 일과 기기가 다른 기기에 대해 전한 것도 보기
argument-group-remove-member = 구성원: 이름 또는 ID
argument-group-promote-member = 구성원: 이름 또는 ID
argument-group-demote-member = 관리자: 이름 또는 ID
argument-group-hand-over-member = 구성원: 이름 또는 ID
argument-group-rename-name = 새 이름
argument-switch = on 또는 off
argument-mailbox-add-at = 친구, 우편함 링크, 또는 표준 입력에서 링크를 읽는 -
argument-mailbox-remove-at = 우편함: 그 노드 주인의 이름이나 ID
argument-outbox-cancel-id = 메시지: ID 또는 그 앞부분
argument-nodes = 노드 수 (기본 3)
argument-seed = 전에 이 씨앗값으로 만든 것과 같은 계정을 만듦
argument-node = 노드: 번호 또는 이름
argument-command = “moim”을 뺀 명령
argument-stdio = 표준 입출력으로 JSON-RPC 2.0, 한 줄에 하나
argument-keep = 끝난 뒤에도 Ctrl+C 를 누를 때까지 노드를 켜 두고 말 거는 법 보여 주기
argument-shell = bash, zsh, fish, elvish, powershell 중 하나
argument-dir = 폴더
argument-key = 설정 이름
argument-value = 새 값
argument-topic = 설명서의 주제, 또는 명령

//! The words of the status page, in English and Japanese.

use kizashi_model::TicketKind;
use serde::Deserialize;
use utoipa::ToSchema;

/// A language of the status page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    Ja,
    En,
}

/// One field per word or sentence.
#[derive(Debug)]
pub struct Words {
    pub code: &'static str,
    pub other_code: &'static str,
    pub other_name: &'static str,
    pub title: &'static str,
    pub as_of: &'static str,
    pub all_tenants: &'static str,
    pub components: &'static str,
    pub checks: &'static str,
    pub not_ok: &'static str,
    pub tickets: &'static str,
    pub predictions: &'static str,
    pub component: &'static str,
    pub condition: &'static str,
    pub since: &'static str,
    pub reason: &'static str,
    pub tenant: &'static str,
    pub check: &'static str,
    pub state: &'static str,
    pub output: &'static str,
    pub number: &'static str,
    pub kind: &'static str,
    pub priority: &'static str,
    pub ticket_title: &'static str,
    pub assignee: &'static str,
    pub opened: &'static str,
    pub summary: &'static str,
    pub expected: &'static str,
    pub deadline: &'static str,
    pub incident: &'static str,
    pub prediction: &'static str,
    pub finding: &'static str,
    pub pending: &'static str,
    pub soft: &'static str,
    pub recorded: &'static str,
    pub none: &'static str,
    pub all_ok: &'static str,
    pub more: &'static str,
    pub cannot_read: &'static str,
    pub ready: &'static str,
    pub not_ready: &'static str,
    pub name: &'static str,
    pub password: &'static str,
    pub enter: &'static str,
    pub leave: &'static str,
    pub wrong_password: &'static str,
    pub too_many_attempts: &'static str,
    pub where_password: &'static str,
}

impl Lang {
    pub fn words(self) -> &'static Words {
        match self {
            Self::En => &ENGLISH,
            Self::Ja => &JAPANESE,
        }
    }
}

impl Words {
    pub fn kind(&self, kind: TicketKind) -> &'static str {
        match kind {
            TicketKind::Incident => self.incident,
            TicketKind::Prediction => self.prediction,
            TicketKind::Finding => self.finding,
        }
    }
}

const ENGLISH: Words = Words {
    code: "en",
    other_code: "ja",
    other_name: "日本語",
    title: "Kizashi status",
    as_of: "As of",
    all_tenants: "all tenants",
    components: "Components",
    checks: "Checks by state",
    not_ok: "Checks that are not OK",
    tickets: "Open tickets",
    predictions: "Predictions not yet scored",
    component: "Component",
    condition: "Condition",
    since: "Since",
    reason: "Reason",
    tenant: "Tenant",
    check: "Check",
    state: "State",
    output: "Output",
    number: "No.",
    kind: "Kind",
    priority: "Priority",
    ticket_title: "Title",
    assignee: "Assignee",
    opened: "Opened",
    summary: "Summary",
    expected: "Expected",
    deadline: "Deadline",
    incident: "incident",
    prediction: "prediction",
    finding: "finding",
    pending: "no result yet",
    soft: "soft",
    recorded: "recording",
    none: "None.",
    all_ok: "Every check is OK.",
    more: "There are more; the API lists all of them.",
    cannot_read: "This part cannot be read at the moment:",
    ready: "The server is ready.",
    not_ready: "The server is not ready.",
    name: "Name",
    password: "Password",
    enter: "Sign in",
    leave: "Sign out",
    wrong_password: "The name or the password is wrong.",
    too_many_attempts: "Too many attempts have failed: wait a little.",
    where_password: "The password of the first administrator, admin, was printed at the first start, or set as KIZASHI_ADMIN_PASSWORD.",
};

const JAPANESE: Words = Words {
    code: "ja",
    other_code: "en",
    other_name: "English",
    title: "Kizashi 稼働状況",
    as_of: "時点",
    all_tenants: "全テナント",
    components: "構成要素",
    checks: "状態別の監視項目数",
    not_ok: "OK でない監視項目",
    tickets: "未完了チケット",
    predictions: "判定待ちの障害予兆",
    component: "構成要素",
    condition: "状況",
    since: "開始時刻",
    reason: "理由",
    tenant: "テナント",
    check: "監視項目",
    state: "状態",
    output: "出力",
    number: "番号",
    kind: "種別",
    priority: "優先度",
    ticket_title: "件名",
    assignee: "担当者",
    opened: "起票時刻",
    summary: "概要",
    expected: "予想時刻",
    deadline: "判定期限",
    incident: "障害",
    prediction: "障害予兆",
    finding: "異常検知",
    pending: "結果待ち",
    soft: "未確定",
    recorded: "記録データ",
    none: "ありません。",
    all_ok: "すべての監視項目が OK です。",
    more: "ほかにもあります。すべての一覧は API で取得できます。",
    cannot_read: "この部分は現在読み込めません:",
    ready: "サーバーは稼働準備ができています。",
    not_ready: "サーバーは稼働準備ができていません。",
    name: "ユーザー名",
    password: "パスワード",
    enter: "サインイン",
    leave: "サインアウト",
    wrong_password: "ユーザー名またはパスワードが違います。",
    too_many_attempts: "失敗が多すぎます。しばらく待ってください。",
    where_password: "最初の管理者 admin のパスワードは、初回起動時に表示されたもの、または KIZASHI_ADMIN_PASSWORD に設定したものです。",
};

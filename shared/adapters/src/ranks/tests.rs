//! The lists against servers of ours on loopback, in the forms that Common Crawl and Majestic document.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use async_compression::tokio::bufread::GzipEncoder;
use hermes_core::ports::ranks::{RankList, Ranks as _, Standing};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::http::HttpClient;

/// Source: https://index.commoncrawl.org/graphinfo.json; shortened.
const RELEASES: &str = r#"[
  { "id": "cc-main-2026-jul-aug-sep", "crawls": ["CC-MAIN-2026-30"], "stats": { "domain": { "nodes": 121000000 } } },
  { "id": "cc-main-2026-apr-may-jun", "crawls": ["CC-MAIN-2026-17"], "stats": {} }
]"#;

/// Source: https://commoncrawl.org/web-graphs, the head of a release's domain ranks.
const DOMAIN_RANKS: &str = "#harmonicc_pos\t#harmonicc_val\t#pr_pos\t#pr_val\t#host_rev\t#n_hosts\n\
    1\t24993276.0\t2\t0.012750407517909759\tcom.facebook\t7348\n\
    2\t24671056.0\t1\t0.01721003017179015\tcom.googleapis\t1904\n\
    3\t23453366.0\t3\t0.010760718435453807\tuk.co.example\t3328\n";

/// Source: https://majestic.com/reports/majestic-million, the download's first lines.
const MILLION: &str = "GlobalRank,TldRank,Domain,TLD,RefSubNets,RefIPs,IDN_Domain,IDN_TLD,PrevGlobalRank,PrevTldRank,\
    PrevRefSubNets,PrevRefIPs\r\n\
    1,1,google.com,com,489921,2231002,google.com,com,1,1,489900,2230000\r\n\
    2,1,example.co.uk,uk,477,2015,example.co.uk,uk,2,1,470,2000\r\n\
    3,2,google.com,com,5,6,google.com,com,3,2,5,6\r\n";

async fn packed(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzipEncoder::new(text.as_bytes()).read_to_end(&mut bytes).await.expect("in memory");
    bytes
}

/// Answers every request whose path ends with a key by its bytes, of which it promises `promised` and then hangs up.
struct Server {
    address: SocketAddr,
}

#[derive(Clone)]
struct Answer {
    status: u16,
    bytes: Vec<u8>,
    promised: usize,
}

impl Answer {
    fn whole(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self { status: 200, promised: bytes.len(), bytes }
    }
}

impl Server {
    async fn start(answers: Vec<(&'static str, Answer)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback can be bound");
        let address = listener.local_addr().expect("bound");
        let answers = Arc::new(answers);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answers = answers.clone();
                tokio::spawn(async move {
                    let mut request = vec![0; 4_096];
                    let bytes = stream.read(&mut request).await.expect("a request");
                    let head = String::from_utf8_lossy(&request[..bytes]).into_owned();
                    let path = head.split(' ').nth(1).expect("a path").to_owned();
                    let found = answers.iter().find(|(ending, _)| path.ends_with(ending)).map(|(_, answer)| answer);
                    let missing = Answer { status: 404, bytes: Vec::new(), promised: 0 };
                    let Answer { status, bytes, promised } = found.unwrap_or(&missing);
                    let head =
                        format!("HTTP/1.1 {status} X\r\nContent-Length: {promised}\r\nConnection: close\r\n\r\n");
                    stream.write_all(head.as_bytes()).await.expect("sent");
                    // The client may hang up when it has enough.
                    stream.write_all(bytes).await.ok();
                });
            }
        });
        Self { address }
    }

    fn endpoints(&self) -> Endpoints {
        let place = |variable: &str, path: &str| (variable.to_owned(), format!("http://{}{path}", self.address));
        let environment = BTreeMap::from([
            place("COMMON_CRAWL_INDEX_ENDPOINT", "/graphinfo.json"),
            place("COMMON_CRAWL_DATA_ENDPOINT", ""),
            place("MAJESTIC_ENDPOINT", "/majestic_million.csv"),
        ]);
        Endpoints::read(&environment).expect("URLs")
    }

    async fn update(&self, data: &Path, list: RankList) -> Result<Meta, UpdateError> {
        let client = HttpClient::new().expect("there are CA certificates");
        update(&client, &self.endpoints(), &RankFolder::of(data), list).await
    }
}

async fn both() -> Vec<(&'static str, Answer)> {
    vec![
        ("/graphinfo.json", Answer::whole(RELEASES)),
        (
            "/projects/hyperlinkgraph/cc-main-2026-jul-aug-sep/domain/cc-main-2026-jul-aug-sep-domain-ranks.txt.gz",
            Answer::whole(packed(DOMAIN_RANKS).await),
        ),
        ("/majestic_million.csv", Answer::whole(MILLION)),
    ]
}

async fn standing(data: &Path, list: RankList, domain: &str) -> Option<Standing> {
    RankFolder::of(data).find(list, domain).await.expect("readable").expect("it is here").standing
}

#[tokio::test]
async fn both_lists_are_fetched_and_tell_where_a_domain_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    let server = Server::start(both().await).await;
    let meta = server.update(data, RankList::CommonCrawl).await.expect("fetched");
    assert_eq!((meta.rows, meta.release.as_deref()), (3, Some("cc-main-2026-jul-aug-sep")));
    let found = standing(data, RankList::CommonCrawl, "example.co.uk").await;
    assert_eq!(found, Some(Standing { rank: 3, ref_subnets: None }));
    assert_eq!(standing(data, RankList::CommonCrawl, "unknown.example").await, None);

    let meta = server.update(data, RankList::Majestic).await.expect("fetched");
    assert_eq!((meta.rows, meta.release), (2, None), "a domain that is listed twice counts once");
    let found = standing(data, RankList::Majestic, "example.co.uk").await;
    assert_eq!(found, Some(Standing { rank: 2, ref_subnets: Some(477) }));
    let best = standing(data, RankList::Majestic, "google.com").await;
    assert_eq!(best, Some(Standing { rank: 1, ref_subnets: Some(489_921) }));
    let told = RankFolder::of(data).meta(RankList::Majestic).expect("readable").expect("it is here");
    assert!(told.source.ends_with("/majestic_million.csv") && told.fetched_at > hermes_core::Timestamp::EPOCH);
}

#[tokio::test]
async fn without_a_file_a_list_is_absent() {
    let folder = tempfile::tempdir().expect("a folder");
    for list in RankList::ALL {
        assert_eq!(RankFolder::of(folder.path()).find(list, "example.com").await, Ok(None));
    }
}

/// Of the whole only the head is wanted: what follows may be anything, and may never come.
#[tokio::test]
async fn only_the_head_of_a_long_list_is_read() {
    let mut lines = lines::Lines::over(std::io::Cursor::new(format!("{DOMAIN_RANKS}nonsense\n"))).await.expect("text");
    let found = common_crawl::read(&mut lines, 3).await.expect("the head is well-formed");
    assert_eq!(found.len(), 3);
}

#[tokio::test]
async fn a_download_that_is_cut_off_leaves_the_old_list() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    Server::start(both().await).await.update(data, RankList::CommonCrawl).await.expect("fetched");
    Server::start(both().await).await.update(data, RankList::Majestic).await.expect("fetched");

    let long: String = (0..5_000).map(|rank| format!("{}\t1.0\t1\t1.0\tcom.a{rank}\t1\n", rank + 1)).collect();
    let gzip = packed(&long).await;
    let half = gzip[..gzip.len() / 2].to_vec();
    for promised in [gzip.len(), half.len()] {
        let mut answers = both().await;
        answers[1].1 = Answer { status: 200, bytes: half.clone(), promised };
        let error = Server::start(answers).await.update(data, RankList::CommonCrawl).await.expect_err("cut off");
        assert!(matches!(error, UpdateError::Fetch { .. }), "{error}");
        assert_eq!(standing(data, RankList::CommonCrawl, "example.co.uk").await.map(|found| found.rank), Some(3));
    }
    for promised in [MILLION.len(), MILLION.len() - 9] {
        let mut answers = both().await;
        answers[2].1 = Answer { status: 200, bytes: MILLION.as_bytes()[..MILLION.len() - 9].to_vec(), promised };
        let error = Server::start(answers).await.update(data, RankList::Majestic).await.expect_err("cut off");
        assert!(matches!(error, UpdateError::Fetch { .. }), "{error}");
        assert_eq!(standing(data, RankList::Majestic, "example.co.uk").await.map(|found| found.rank), Some(2));
    }
    let left: Vec<_> = std::fs::read_dir(RankFolder::of(data).path()).expect("a folder").collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[tokio::test]
async fn what_is_no_list_is_refused_and_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = async |answers: Vec<(&'static str, Answer)>, list| {
        Server::start(answers).await.update(folder.path(), list).await.expect_err("no list").to_string()
    };
    assert_eq!(
        error(vec![], RankList::Majestic).await,
        "majestic could not be fetched: broken answer from 127.0.0.1 (HTTP 404)"
    );
    let page = vec![("/majestic_million.csv", Answer::whole("<html>Slow Down</html>\n"))];
    assert_eq!(
        error(page, RankList::Majestic).await,
        "majestic is not as documented: the first line names other columns"
    );
    let none = vec![("/graphinfo.json", Answer::whole("[]"))];
    assert_eq!(
        error(none, RankList::CommonCrawl).await,
        "common-crawl is not as documented: the list of releases names none"
    );
    let head = MILLION.lines().next().expect("a head");
    let empty = vec![("/majestic_million.csv", Answer::whole(format!("{head}\n")))];
    assert_eq!(error(empty, RankList::Majestic).await, "majestic is not as documented: it is empty");
    let endless = vec![("/majestic_million.csv", Answer::whole(vec![b'x'; 20_000]))];
    let told = error(endless, RankList::Majestic).await;
    assert_eq!(told, "majestic is not as documented: a line is longer than 8192 bytes");
}

#[tokio::test]
async fn a_damaged_file_is_no_absent_list() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    Server::start(both().await).await.update(data, RankList::Majestic).await.expect("fetched");
    let ranks = RankFolder::of(data);
    let file = ranks.path().join("majestic.index");
    let whole = std::fs::read(&file).expect("it is there");
    for (bytes, detail) in [
        (&whole[..whole.len() - 1], "it has another length than it says"),
        (&whole[..20], "its first lines are damaged"),
        (&b"something else"[..], "it is of another format"),
    ] {
        std::fs::write(&file, bytes).expect("written");
        let error = ranks.find(RankList::Majestic, "example.com").await.expect_err("damaged");
        assert_eq!(error.detail, detail);
    }
}

#[test]
fn an_endpoint_that_is_no_url_is_refused_with_an_example() {
    let environment = BTreeMap::from([("MAJESTIC_ENDPOINT".to_owned(), "majestic.com".to_owned())]);
    let error = Endpoints::read(&environment).expect_err("no URL");
    assert_eq!(
        error.to_string(),
        "MAJESTIC_ENDPOINT must be a URL such as https://downloads.majestic.com/majestic_million.csv"
    );
}

#[tokio::test]
async fn what_a_killed_update_left_behind_harms_nothing_and_goes_with_the_next_one() {
    let (server, folder) = (Server::start(both().await).await, tempfile::tempdir().expect("a folder"));
    server.update(folder.path(), RankList::Majestic).await.expect("fetched");
    let left = folder.path().join("ranks/majestic.4711.new");
    std::fs::write(&left, "hermes ra").expect("written");
    let ranks = RankFolder::of(folder.path());
    assert!(ranks.find(RankList::Majestic, "google.com").await.expect("readable").is_some());
    // The other list's update is one as well.
    server.update(folder.path(), RankList::CommonCrawl).await.expect("fetched");
    assert!(!left.exists());
    assert!(ranks.find(RankList::Majestic, "google.com").await.expect("readable").is_some());
}

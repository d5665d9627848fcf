//! The look-ups against a name server of ours on loopback.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hermes_core::ports::names::{DnsError, Names as _, RecordKind};
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{CAA, MX, NS, NULL, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;

use super::{DNS_ENDPOINT, NameClient, SetupError};

/// What the server says about one name.
enum Said {
    Records(Vec<RData>),
    Code(ResponseCode),
    Nothing,
}

struct Server {
    address: SocketAddr,
    questions: Arc<AtomicUsize>,
}

impl Server {
    async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("loopback can be bound");
        let address = socket.local_addr().expect("bound");
        let questions = Arc::new(AtomicUsize::new(0));
        let counter = questions.clone();
        tokio::spawn(async move {
            let mut datagram = [0_u8; 4_096];
            while let Ok((bytes, from)) = socket.recv_from(&mut datagram).await {
                counter.fetch_add(1, Ordering::SeqCst);
                let question = Message::from_vec(&datagram[..bytes]).expect("a question");
                if let Some(answer) = answer(&question) {
                    socket.send_to(&answer, from).await.expect("sent");
                }
            }
        });
        Self { address, questions }
    }

    fn client(&self) -> NameClient {
        let environment = BTreeMap::from([(DNS_ENDPOINT.to_owned(), self.address.to_string())]);
        NameClient::new(&environment).expect("an address")
    }
}

fn answer(question: &Message) -> Option<Vec<u8>> {
    let asked = question.queries.first()?.clone();
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.add_query(asked.clone());
    match said(&asked.name().to_ascii(), asked.query_type()) {
        Said::Nothing => return None,
        Said::Code(code) => answer.metadata.response_code = code,
        Said::Records(records) => {
            for data in records {
                answer.add_answer(Record::from_rdata(asked.name().clone(), 60, data));
            }
        }
    }
    Some(answer.to_vec().expect("it can be written"))
}

fn said(name: &str, kind: RecordType) -> Said {
    let name_of = |text: &str| Name::from_ascii(text).expect("a name");
    match (name, kind) {
        ("example.com.", RecordType::NS) => {
            Said::Records(vec![RData::NS(NS(name_of("NS2.example.net."))), RData::NS(NS(name_of("ns1.example.net.")))])
        }
        ("example.com.", RecordType::MX) => Said::Records(vec![
            RData::MX(MX::new(10, name_of("mail.example.com."))),
            RData::MX(MX::new(0, Name::root())),
        ]),
        ("example.com.", RecordType::TXT) => {
            Said::Records(vec![RData::TXT(TXT::new(vec!["v=spf1 include:a".to_owned(), "b.example -all".to_owned()]))])
        }
        // Source: RFC 4034, section 5.4: dskey.example.com. DS 60485 5 1 ( 2BB183AF … ).
        ("example.com.", RecordType::DS) => {
            let digest = [0xec, 0x45, 5, 1, 0x2b, 0xb1, 0x83, 0xaf];
            Said::Records(vec![RData::Unknown { code: RecordType::DS, rdata: NULL::with(digest.to_vec()) }])
        }
        ("example.com.", RecordType::CAA) => {
            Said::Records(vec![RData::CAA(CAA::new_issue(true, Some(name_of("ca.example")), Vec::new()))])
        }
        ("gone.example.com.", _) => Said::Code(ResponseCode::NXDomain),
        ("broken.example.com.", _) => Said::Code(ResponseCode::ServFail),
        ("refused.example.com.", _) => Said::Code(ResponseCode::Refused),
        ("silent.example.com.", _) => Said::Nothing,
        _ => Said::Records(Vec::new()),
    }
}

#[tokio::test]
async fn records_of_all_kinds_are_read_as_text() {
    let server = Server::start().await;
    let client = server.client();
    for (kind, expected) in [
        (RecordKind::Ns, vec!["ns1.example.net", "ns2.example.net"]),
        (RecordKind::Mx, vec!["0 .", "10 mail.example.com"]),
        (RecordKind::Txt, vec!["v=spf1 include:ab.example -all"]),
        (RecordKind::Ds, vec!["60485 5 1"]),
        (RecordKind::Caa, vec!["128 issue ca.example"]),
    ] {
        assert_eq!(client.records("example.com", kind).await.expect("answered"), expected, "{kind:?}");
    }
    assert!(server.questions.load(Ordering::SeqCst) >= 5);
}

#[tokio::test]
async fn no_such_name_no_such_records_and_no_answer_are_three_things() {
    let client = Server::start().await.client();
    let ask = async |name: &str| client.records(name, RecordKind::Ns).await;
    assert_eq!(ask("bare.example.com").await, Ok(Vec::new()));
    assert_eq!(ask("gone.example.com").await, Err(DnsError::NoSuchName { name: "gone.example.com".to_owned() }));
    assert_eq!(ask("silent.example.com").await, Err(DnsError::Timeout { name: "silent.example.com".to_owned() }));
    for (name, detail) in [("broken.example.com", "SERVFAIL"), ("refused.example.com", "REFUSED")] {
        assert_eq!(ask(name).await, Err(DnsError::Failure { name: name.to_owned(), detail: detail.to_owned() }));
    }
    assert!(matches!(ask("no..name").await, Err(DnsError::Failure { .. })));
}

#[tokio::test]
async fn an_endpoint_that_is_no_address_is_refused_with_an_example() {
    for text in ["localhost", "127.0.0.1", "dns.example:53"] {
        let environment = BTreeMap::from([(DNS_ENDPOINT.to_owned(), text.to_owned())]);
        let error = NameClient::new(&environment).err().expect("no address");
        assert!(matches!(error, SetupError::Endpoint { .. }));
        assert!(error.to_string().contains("such as 127.0.0.1:53"), "{error}");
    }
}

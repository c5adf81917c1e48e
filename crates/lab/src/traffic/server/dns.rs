//! The name server: each datagram is answered with itself and some more.

use tokio::net::UdpSocket;

/// The longest answer, as DNS over UDP without fragments has it.
pub(in crate::traffic) const MAX_ANSWER: usize = 1_232;
/// The shortest query: a header.
const HEADER: usize = 12;

/// Answers for ever. The query's first two bytes, its id in earnest, also say how long the
/// answer is.
pub(super) async fn serve(socket: UdpSocket) {
    let mut query = [0; 2_048];
    loop {
        // An error is an ICMP message about an earlier answer, or a want of buffers.
        let Ok((length, from)) = socket.recv_from(&mut query).await else { continue };
        if length < HEADER {
            continue;
        }
        let id = u16::from_be_bytes([query[0], query[1]]);
        let more = 16 + usize::from(id % 300);
        // The response bit, then the question again, then what it asked for.
        query[2] |= 0x80;
        let asked = length.min(MAX_ANSWER);
        let answered = (asked + more).min(MAX_ANSWER);
        query[asked..answered].fill(b'a');
        let _ = socket.send_to(&query[..answered], from).await;
    }
}

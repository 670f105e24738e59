//! An echo over TCP and one over WebSocket, from Rust, with the standard library alone:
//!
//!     rustc -O echo.rs && ./echo "$(python3 -m dryad_net paths library)"
//!
//! Everything that is done once goes by name, with JSON; what is done over and over has typed
//! functions. Text is "portable text" (see dryad_net.h), which is always valid UTF-8 and so a `String`.

use std::ffi::{c_char, c_int, c_void, CStr, CString};

// dlopen(3) and dlsym(3), which are in the C library that std links anyway; before glibc 2.34 in libdl.
#[link(name = "dl")]
extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *const c_char;
}
const RTLD_NOW: c_int = 2;

type Result<T> = std::result::Result<T, String>;

/// The functions of dryad_net.h that are used here.
struct Net {
    call: extern "C" fn(*const c_char, *const c_char) -> *const c_char,
    status: extern "C" fn() -> i32,
    error: extern "C" fn() -> *const c_char,
    tcp_send: extern "C" fn(usize, *const c_char) -> i64,
    tcp_recv_until: extern "C" fn(usize, *const c_char) -> *const c_char,
    ws_accept: extern "C" fn(usize) -> i64,
    ws_send: extern "C" fn(usize, *const c_char) -> i32,
    ws_recv_blocking: extern "C" fn(usize, usize) -> *const c_char,
}

fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| "a NUL has to be sent as U+EF00".to_string())
}

/// What the library returned, copied: the next call overwrites it.
fn copied(text: *const c_char) -> String {
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

impl Net {
    fn open(path: &str) -> Result<Net> {
        let file = c_string(path)?;
        let library = unsafe { dlopen(file.as_ptr(), RTLD_NOW) };
        if library.is_null() {
            return Err(copied(unsafe { dlerror() }));
        }
        let find = |name: &str| -> Result<*mut c_void> {
            let symbol = c_string(name)?;
            let found = unsafe { dlsym(library, symbol.as_ptr()) };
            if found.is_null() {
                Err(format!("{path} has no {name}"))
            } else {
                Ok(found)
            }
        };
        // The types are those that dryad_net.h declares.
        unsafe {
            Ok(Net {
                call: std::mem::transmute(find("dryad_net_call_utf8")?),
                status: std::mem::transmute(find("dryad_net_status")?),
                error: std::mem::transmute(find("dryad_net_error")?),
                tcp_send: std::mem::transmute(find("dryad_net_tcp_send")?),
                tcp_recv_until: std::mem::transmute(find("dryad_net_tcp_recv_until")?),
                ws_accept: std::mem::transmute(find("dryad_net_ws_accept")?),
                ws_send: std::mem::transmute(find("dryad_net_ws_send")?),
                ws_recv_blocking: std::mem::transmute(find("dryad_net_ws_recv_blocking")?),
            })
        }
    }

    /// Call a function by its name; returns the envelope, or its error.
    fn call(&self, function: &str, arguments: String) -> Result<String> {
        let (name, json) = (c_string(function)?, c_string(&arguments)?);
        let envelope = copied((self.call)(name.as_ptr(), json.as_ptr()));
        if envelope.starts_with("{\"ok\":true") {
            Ok(envelope)
        } else {
            Err(envelope)
        }
    }

    /// Call a function whose value is a number.
    fn number(&self, function: &str, arguments: String) -> Result<usize> {
        number_after(&self.call(function, arguments)?, "\"value\":")
    }

    /// What the last typed function made of its text: a value, null, or an error.
    fn text(&self, returned: *const c_char) -> Result<Option<String>> {
        match (self.status)() {
            1 => Ok(Some(copied(returned))),
            0 => Ok(None),
            _ => Err(copied((self.error)())),
        }
    }

    fn sent(&self) -> Result<()> {
        if (self.status)() < 0 {
            Err(copied((self.error)()))
        } else {
            Ok(())
        }
    }
}

/// The number that follows a key; a real program has a JSON library for this.
fn number_after(envelope: &str, key: &str) -> Result<usize> {
    let rest = envelope
        .split(key)
        .nth(1)
        .ok_or_else(|| format!("no {key} in {envelope}"))?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits
        .parse()
        .map_err(|_| format!("no number after {key} in {envelope}"))
}

fn tcp_echo(net: &Net) -> Result<()> {
    let newline = c_string("\n")?;
    let server = net.number("native_tcp_listen", "[0]".into())?;
    let port = number_after(
        &net.call("native_tcp_get_local_addr", format!("[{server}]"))?,
        "\"port\":",
    )?;
    let client = net.number("native_tcp_connect", format!("[\"127.0.0.1\", {port}]"))?;
    let accepted = net.number("native_tcp_accept_blocking", format!("[{server}, 5000]"))?;
    let hello = c_string("hello over TCP\n")?;
    (net.tcp_send)(client, hello.as_ptr());
    net.sent()?;
    let line = net
        .text((net.tcp_recv_until)(accepted, newline.as_ptr()))?
        .ok_or("nothing came")?;
    (net.tcp_send)(accepted, c_string(&line)?.as_ptr());
    net.sent()?;
    print!(
        "{}",
        net.text((net.tcp_recv_until)(client, newline.as_ptr()))?
            .ok_or("nothing came back")?
    );
    net.call("native_tcp_stop_server", format!("[{server}]"))?;
    net.call("native_tcp_close", format!("[{client}]"))?;
    Ok(())
}

fn ws_echo(net: &Net) -> Result<()> {
    let server = net.number("native_ws_listen", "[0]".into())?;
    let port = number_after(
        &net.call("native_ws_get_local_addr", format!("[{server}]"))?,
        "\"port\":",
    )?;
    let client = net.number("native_ws_connect", format!("[\"ws://127.0.0.1:{port}/echo\"]"))?;
    let hello = c_string("hello over WebSocket")?;
    (net.ws_send)(client, hello.as_ptr()); // completes the handshake
    net.sent()?;
    net.call("native_net_wait", format!("[[{server}], 5000]"))?;
    let accepted = (net.ws_accept)(server) as usize;
    net.sent()?;
    let message = net
        .text((net.ws_recv_blocking)(accepted, 5000))?
        .ok_or("nothing came")?;
    (net.ws_send)(accepted, c_string(&message)?.as_ptr());
    net.sent()?;
    println!(
        "{}",
        net.text((net.ws_recv_blocking)(client, 5000))?
            .ok_or("nothing came back")?
    );
    net.call("native_ws_stop_server", format!("[{server}]"))?;
    net.call("native_ws_close", format!("[{client}]"))?;
    Ok(())
}

fn main() {
    let outcome = match std::env::args().nth(1) {
        Some(path) => Net::open(&path).and_then(|net| tcp_echo(&net).and_then(|()| ws_echo(&net))),
        None => Err("usage: echo \"$(python3 -m dryad_net paths library)\"".to_string()),
    };
    if let Err(reason) = outcome {
        eprintln!("{reason}");
        std::process::exit(1);
    }
}

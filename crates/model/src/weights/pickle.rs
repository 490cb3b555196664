//! Pickles read as data: the stack machine of Python's `pickle` with everything left out that could run code. Classes and
//! calls become nodes with their names and arguments, and nothing is ever looked up or called.
//!
//! Nodes lie in an arena, so that memory is bounded by the length of the input, shared and cyclic references are harmless,
//! and nothing recurses.

use std::collections::HashMap;

/// A node's place in the arena.
pub(super) type NodeId = usize;

/// A Python value, or what stands for one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of at most 64 bits.
    Int(i64),
    /// A float.
    Float(f64),
    /// Text, or bytes that are text.
    Text(String),
    /// Bytes, or an integer that is too long; never read.
    Opaque,
    /// A tuple.
    Tuple(Vec<NodeId>),
    /// A list or a set.
    List(Vec<NodeId>),
    /// A dictionary, or an object that was given entries: pairs in their order.
    Dict(Vec<(NodeId, NodeId)>),
    /// A class or function, by name.
    Global(String),
    /// What a call or a construction would have made.
    Object(Object),
    /// A reference to what lies outside the pickle.
    Outside(NodeId),
}

/// A call or construction that was not made.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Object {
    /// The class or function.
    pub class: NodeId,
    /// Its arguments.
    pub arguments: NodeId,
    /// The state that it was given afterwards.
    pub state: Option<NodeId>,
    /// Entries that it was given afterwards.
    pub entries: Vec<(NodeId, NodeId)>,
}

/// All nodes of a pickle.
#[derive(Debug, Default)]
pub(super) struct Arena {
    nodes: Vec<Node>,
}

impl Arena {
    /// The node at a place that the machine gave.
    pub fn get(&self, id: NodeId) -> &Node {
        self.nodes.get(id).unwrap_or(&Node::None)
    }

    fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }
}

/// Reads a pickle; gives all nodes and the one that it stands for. The text of an error says at which byte.
pub(super) fn read(bytes: &[u8]) -> Result<(Arena, NodeId), String> {
    let mut machine = Machine { bytes, at: 0, arena: Arena::default(), stack: Vec::new(), memo: HashMap::new() };
    loop {
        let at = machine.at;
        match machine.step() {
            Ok(Step::On) => {}
            Ok(Step::Stop(node)) => return Ok((machine.arena, node)),
            Err(reason) => return Err(format!("pickle: {reason} at byte {at} of {}", bytes.len())),
        }
    }
}

enum Step {
    On,
    Stop(NodeId),
}

#[derive(Clone, Copy)]
enum Slot {
    Value(NodeId),
    Mark,
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    arena: Arena,
    stack: Vec<Slot>,
    memo: HashMap<u64, NodeId>,
}

type Done<T> = Result<T, String>;

impl<'a> Machine<'a> {
    fn step(&mut self) -> Done<Step> {
        let opcode = self.take(1)?[0];
        match opcode {
            b'.' => return Ok(Step::Stop(self.pop()?)),
            // Protocol and frame: nothing to do with the value.
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'(' => self.stack.push(Slot::Mark),
            b'0' => drop(self.stack.pop().ok_or("the stack is empty")?),
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(Slot::Value(top));
            }
            b'N' | 0x88 | 0x89 | b'I' | b'J' | b'K' | b'M' | 0x8a | 0x8b | b'G' => self.scalar(opcode)?,
            b'X' | 0x8c | 0x8d | b'U' | b'T' | b'C' | b'B' | 0x8e => self.string(opcode)?,
            b')' | b']' | b'}' | 0x8f | b't' | b'l' | b'd' | 0x91 | 0x85..=0x87 => self.collection(opcode)?,
            b'a' | b'e' | b's' | b'u' | 0x90 => self.extend(opcode)?,
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.memoize(opcode)?,
            b'c' | 0x93 | b'R' | 0x81 | 0x92 | b'b' | b'Q' => self.object(opcode)?,
            other => return Err(format!("opcode {other:#04x} is not one that a state dict needs")),
        }
        Ok(Step::On)
    }

    fn take(&mut self, count: usize) -> Done<&'a [u8]> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or("the input is cut off")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn number(&mut self, count: usize) -> Done<u64> {
        Ok(self.take(count)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn line(&mut self) -> Done<&'a str> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or("the input is cut off")?;
        let line = self.take(length + 1)?;
        std::str::from_utf8(&line[..length]).map_err(|_| "a name is not text".to_owned())
    }

    fn push(&mut self, node: Node) {
        let id = self.arena.add(node);
        self.stack.push(Slot::Value(id));
    }

    fn pop(&mut self) -> Done<NodeId> {
        match self.stack.pop() {
            Some(Slot::Value(id)) => Ok(id),
            _ => Err("a value is missing on the stack".to_owned()),
        }
    }

    fn top(&self) -> Done<NodeId> {
        match self.stack.last() {
            Some(Slot::Value(id)) => Ok(*id),
            _ => Err("a value is missing on the stack".to_owned()),
        }
    }

    /// All values above the last mark, which goes too.
    fn pop_mark(&mut self) -> Done<Vec<NodeId>> {
        let mark = self.stack.iter().rposition(|slot| matches!(slot, Slot::Mark)).ok_or("a mark is missing")?;
        let values = self.stack.split_off(mark);
        Ok(values.into_iter().filter_map(|slot| if let Slot::Value(id) = slot { Some(id) } else { None }).collect())
    }

    fn scalar(&mut self, opcode: u8) -> Done<()> {
        let node = match opcode {
            0x88 => Node::Bool(true),
            0x89 => Node::Bool(false),
            b'J' => Node::Int(i64::from(self.number(4)? as u32 as i32)),
            b'K' => Node::Int(self.number(1)? as i64),
            b'M' => Node::Int(self.number(2)? as i64),
            b'G' => {
                let bytes = self.take(8)?;
                Node::Float(f64::from_bits(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))))
            }
            b'I' => match self.line()? {
                "00" => Node::Bool(false),
                "01" => Node::Bool(true),
                text => Node::Int(text.parse().map_err(|_| format!("`{text}` is no integer"))?),
            },
            0x8a => {
                let length = self.number(1)?;
                self.long(length)?
            }
            0x8b => {
                let length = self.number(4)?;
                self.long(length)?
            }
            _ => Node::None,
        };
        self.push(node);
        Ok(())
    }

    /// Two's complement, little end first.
    fn long(&mut self, length: u64) -> Done<Node> {
        let bytes = self.take(usize::try_from(length).map_err(|_| "a length is too large")?)?;
        if bytes.len() > 8 {
            return Ok(Node::Opaque);
        }
        let negative = bytes.last().is_some_and(|last| *last >= 0x80);
        let start = if negative { u64::MAX } else { 0 };
        Ok(Node::Int(bytes.iter().rev().fold(start, |value, byte| value << 8 | u64::from(*byte)) as i64))
    }

    fn string(&mut self, opcode: u8) -> Done<()> {
        let width = match opcode {
            0x8c | b'U' | b'C' => 1,
            0x8d | 0x8e => 8,
            _ => 4,
        };
        let length = usize::try_from(self.number(width)?).map_err(|_| "a length is too large")?;
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(bytes).ok().map(str::to_owned);
        let is_text = matches!(opcode, b'X' | 0x8c | 0x8d);
        match text {
            Some(text) => self.push(Node::Text(text)),
            None if is_text => return Err("text is not UTF-8".to_owned()),
            None => self.push(Node::Opaque),
        }
        Ok(())
    }

    fn collection(&mut self, opcode: u8) -> Done<()> {
        let node = match opcode {
            b')' => Node::Tuple(Vec::new()),
            b']' | 0x8f => Node::List(Vec::new()),
            b'}' => Node::Dict(Vec::new()),
            b't' => Node::Tuple(self.pop_mark()?),
            b'l' | 0x91 => Node::List(self.pop_mark()?),
            b'd' => Node::Dict(pairs(&self.pop_mark()?)?),
            _ => {
                let mut values = (0x85..=opcode).map(|_| self.pop()).collect::<Done<Vec<_>>>()?;
                values.reverse();
                Node::Tuple(values)
            }
        };
        self.push(node);
        Ok(())
    }

    fn extend(&mut self, opcode: u8) -> Done<()> {
        let mut values = match opcode {
            b'a' => vec![self.pop()?],
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.pop_mark()?,
        };
        let target = self.top()?;
        match (&mut self.arena.nodes[target], opcode) {
            (Node::List(list), b'a' | b'e' | 0x90) => list.append(&mut values),
            (Node::Dict(entries), b's' | b'u') => entries.append(&mut pairs(&values)?),
            (Node::Object(object), b's' | b'u') => object.entries.append(&mut pairs(&values)?),
            // Entries of an object that is a list of some kind: nothing here needs them.
            (Node::Object(_), _) => {}
            _ => return Err("entries are given to a value that cannot hold them".to_owned()),
        }
        Ok(())
    }

    fn memoize(&mut self, opcode: u8) -> Done<()> {
        match opcode {
            b'h' | b'j' => {
                let key = self.number(if opcode == b'h' { 1 } else { 4 })?;
                let id = *self.memo.get(&key).ok_or_else(|| format!("nothing was remembered as {key}"))?;
                self.stack.push(Slot::Value(id));
            }
            _ => {
                let key = match opcode {
                    b'q' => self.number(1)?,
                    b'r' => self.number(4)?,
                    _ => self.memo.len() as u64,
                };
                let top = self.top()?;
                self.memo.insert(key, top);
            }
        }
        Ok(())
    }

    fn object(&mut self, opcode: u8) -> Done<()> {
        let node = match opcode {
            b'c' => Node::Global(format!("{}.{}", self.line()?, self.line()?)),
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (self.arena.get(module), self.arena.get(name)) {
                    (Node::Text(module), Node::Text(name)) => Node::Global(format!("{module}.{name}")),
                    _ => return Err("a class has no name".to_owned()),
                }
            }
            b'Q' => Node::Outside(self.pop()?),
            b'b' => {
                let state = self.pop()?;
                let target = self.top()?;
                if let Node::Object(object) = &mut self.arena.nodes[target] {
                    object.state = Some(state);
                }
                return Ok(());
            }
            0x92 => {
                let (_, arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                Node::Object(Object { class, arguments, state: None, entries: Vec::new() })
            }
            _ => {
                let (arguments, class) = (self.pop()?, self.pop()?);
                Node::Object(Object { class, arguments, state: None, entries: Vec::new() })
            }
        };
        self.push(node);
        Ok(())
    }
}

fn pairs(values: &[NodeId]) -> Done<Vec<(NodeId, NodeId)>> {
    let (pairs, rest) = values.as_chunks::<2>();
    if rest.is_empty() {
        Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
    } else {
        Err("a key has no value".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{Node, read};

    #[test]
    fn calls_are_kept_as_data() {
        // os.system("true") as a pickle would run it.
        let (arena, root) = read(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.").unwrap();
        let Node::Object(object) = arena.get(root) else { panic!("a call") };
        assert_eq!(arena.get(object.class), &Node::Global("os.system".into()));
    }

    #[test]
    fn values_of_every_kind_are_read() {
        let bytes = b"\x80\x04]\x94(K\x07M\x01\x02J\xff\xff\xff\xff\x8a\x01\xfe\x88\x89N\x8c\x02hi}\x8c\x01aK\x01s)e.";
        let (arena, root) = read(bytes).unwrap();
        let Node::List(list) = arena.get(root) else { panic!("a list") };
        let values: Vec<&Node> = list.iter().map(|id| arena.get(*id)).collect();
        assert_eq!(values[..4], [&Node::Int(7), &Node::Int(513), &Node::Int(-1), &Node::Int(-2)]);
        assert_eq!(values[4..8], [&Node::Bool(true), &Node::Bool(false), &Node::None, &Node::Text("hi".into())]);
        assert_eq!(values[9], &Node::Tuple(Vec::new()));
    }

    #[test]
    fn damaged_input_is_an_error_that_says_where() {
        assert_eq!(read(b"").unwrap_err(), "pickle: the input is cut off at byte 0 of 0");
        assert!(read(b"\x80\x02X\xff\xff\xff\x7fab.").unwrap_err().contains("cut off at byte 2"));
        assert!(read(b"h\x05.").unwrap_err().contains("nothing was remembered as 5"));
        assert!(read(b"\x82.").unwrap_err().contains("opcode 0x82"));
        assert!(read(b"(K\x01d.").unwrap_err().contains("a key has no value"));
    }

    #[test]
    fn list_that_holds_itself_is_harmless() {
        let (arena, root) = read(b"]q\x00h\x00a.").unwrap();
        assert_eq!(arena.get(root), &Node::List(vec![root]));
    }
}

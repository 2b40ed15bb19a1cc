//! A small tree of XML elements, enough for what Pacemaker's tools print. Floor 0.
//!
//! A document that ends early, that is nested absurdly deep, that declares entities of its own or
//! is followed by something else is an error: half an answer is no answer.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Pacemaker's own documents are about fifteen levels deep.
const MAX_DEPTH: usize = 64;

/// Why a text is not an XML document that we accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Nothing but white space.
    #[error("it is empty")]
    Empty,
    /// It ends inside this element.
    #[error("it ends inside <{0}>")]
    Truncated(String),
    /// Not well-formed, at this byte.
    #[error("it is not XML at byte {at}: {why}")]
    Malformed {
        /// Offset in bytes.
        at: u64,
        /// What the reader said.
        why: String,
    },
    /// Deeper than any document of Pacemaker's.
    #[error("its elements are nested more than {MAX_DEPTH} deep")]
    TooDeep,
}

/// One element: its name, its attributes in order, its child elements and its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Its tag.
    pub name: String,
    /// Attributes, in the order of the document.
    pub attributes: Vec<(String, String)>,
    /// Child elements, in the order of the document.
    pub children: Vec<Element>,
    /// All its own text, trimmed at both ends.
    pub text: String,
}

impl Element {
    /// The value of an attribute.
    pub fn attr(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All children of this name.
    pub fn children_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Itself and everything below it, parents first.
    pub fn walk(&self) -> Walk<'_> {
        Walk { stack: vec![self] }
    }
}

/// Iterates over an element and everything below it.
pub struct Walk<'a> {
    stack: Vec<&'a Element>,
}

impl<'a> Iterator for Walk<'a> {
    type Item = &'a Element;

    fn next(&mut self) -> Option<&'a Element> {
        let element = self.stack.pop()?;
        self.stack.extend(element.children.iter().rev());
        Some(element)
    }
}

/// Reads one document and returns its root element.
pub fn parse(text: &str) -> Result<Element, XmlError> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<Element> = Vec::new();
    let mut root: Option<Element> = None;
    loop {
        let at = reader.buffer_position();
        let malformed = |why: String| XmlError::Malformed { at, why: in_one_line(&why) };
        let event = match reader.read_event() {
            Ok(event) => event,
            // An end in the middle of a tag or a comment.
            Err(quick_xml::Error::Syntax(error)) => {
                return Err(match open.last() {
                    Some(last) if reader.buffer_position() >= text.len() as u64 => {
                        XmlError::Truncated(last.name.clone())
                    }
                    _ => malformed(error.to_string()),
                });
            }
            Err(error) => return Err(malformed(error.to_string())),
        };
        match event {
            Event::Start(start) => {
                if root.is_some() {
                    return Err(malformed("a second document follows".into()));
                }
                if open.len() >= MAX_DEPTH {
                    return Err(XmlError::TooDeep);
                }
                open.push(element(&start).map_err(malformed)?);
            }
            Event::End(_) => {
                // The reader has checked that the names match.
                let Some(mut done) = open.pop() else {
                    return Err(malformed("an element ends that never began".into()));
                };
                if done.text.trim().len() != done.text.len() {
                    let trimmed = done.text.trim().to_owned();
                    done.text = trimmed;
                }
                match open.last_mut() {
                    Some(parent) => parent.children.push(done),
                    None => root = Some(done),
                }
            }
            Event::Text(piece) => {
                let piece = piece.decode().map_err(|e| malformed(e.to_string()))?;
                match open.last_mut() {
                    Some(parent) => parent.text.push_str(&piece),
                    None if piece.trim().is_empty() => {}
                    None => return Err(malformed("text outside of any element".into())),
                }
            }
            Event::CData(piece) => {
                let piece = piece.decode().map_err(|e| malformed(e.to_string()))?;
                match open.last_mut() {
                    Some(parent) => parent.text.push_str(&piece),
                    None => return Err(malformed("text outside of any element".into())),
                }
            }
            Event::GeneralRef(reference) => {
                let name = reference.decode().map_err(|e| malformed(e.to_string()))?;
                let piece = quick_xml::escape::unescape(&format!("&{name};"))
                    .map_err(|e| malformed(e.to_string()))?
                    .into_owned();
                match open.last_mut() {
                    Some(parent) => parent.text.push_str(&piece),
                    None => return Err(malformed("text outside of any element".into())),
                }
            }
            Event::Empty(_) | Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::DocType(_) => return Err(malformed("it has a DOCTYPE".into())),
            Event::Eof => {
                return match (open.last(), root) {
                    (Some(last), _) => Err(XmlError::Truncated(last.name.clone())),
                    (None, Some(root)) => Ok(root),
                    (None, None) => Err(XmlError::Empty),
                };
            }
        }
    }
}

/// The reader quotes what it found, which may be anything and of any length.
fn in_one_line(why: &str) -> String {
    why.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

fn element(start: &BytesStart<'_>) -> Result<Element, String> {
    let name = std::str::from_utf8(start.name().into_inner()).map_err(|e| e.to_string())?;
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|e| e.to_string())?;
        let key = std::str::from_utf8(attribute.key.into_inner()).map_err(|e| e.to_string())?;
        let value = attribute.unescape_value().map_err(|e| e.to_string())?;
        attributes.push((key.to_owned(), value.into_owned()));
    }
    Ok(Element { name: name.to_owned(), attributes, children: Vec::new(), text: String::new() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_document_becomes_a_tree_with_its_references_resolved() {
        let root = parse(
            "<?xml version=\"1.0\"?>\n<a x='1 &lt; 2&#10;'><!-- c --><b/>one &amp; two<b y=\"\"/></a>\n",
        )
        .unwrap();
        assert_eq!(root.name, "a");
        assert_eq!(root.attr("x"), Some("1 < 2\n"));
        assert_eq!(root.text, "one & two");
        assert_eq!(root.children_named("b").count(), 2);
        assert_eq!(root.children[1].attr("y"), Some(""));
        assert_eq!(root.attr("z"), None);
        assert_eq!(root.walk().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["a", "b", "b"]);
    }

    #[test]
    fn what_is_not_one_whole_document_is_refused() {
        let deep = "<a>".repeat(100);
        let odd = format!("<a></b{}>", "\n\u{1b}".repeat(5000));
        let rows: &[(&str, &str)] = &[
            ("", "it is empty"),
            (" \n\t", "it is empty"),
            ("<!-- only a comment -->", "it is empty"),
            ("<a><b>", "it ends inside <b>"),
            ("<a><b x=\"1", "it ends inside <a>"),
            ("<a><b x=1/></a>", "it is not XML"),
            ("<a></b>", "it is not XML"),
            ("</a>", "it is not XML"),
            ("<a/><a/>", "a second document follows"),
            ("rubbish", "text outside of any element"),
            ("rubbish <a/>", "text outside of any element"),
            ("<a/>rubbish", "text outside of any element"),
            ("<a>&evil;</a>", "it is not XML"),
            ("<a x='&evil;'/>", "it is not XML"),
            ("<a x='1' x='2'/>", "it is not XML"),
            ("<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>", "it has a DOCTYPE"),
            (&deep, "nested more than 64 deep"),
            // Found by fuzzing: what is quoted was quoted whole, with its line breaks.
            (&odd, "it is not XML"),
        ];
        for (text, expected) in rows {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:.60}: {error}");
            assert!(error.len() < 300 && !error.contains(char::is_control), "{error:?}");
        }
    }

    #[test]
    fn no_prefix_of_a_document_is_taken_for_the_whole() {
        let whole = "<a x='1'>t<b y='&amp;'>u</b><c/></a>";
        assert!(parse(whole).is_ok());
        for end in 0..whole.len() {
            assert!(parse(&whole[..end]).is_err(), "{}", &whole[..end]);
        }
    }
}

package telemetry

import (
	"bytes"
	"mime"
	"strings"
	"time"
)

// A Content is a form a batch has on the wire, by the Content-Type that says so.
type Content string

// The forms of a batch.
const (
	ContentMsgPack Content = "application/x-pacewire+msgpack"
	ContentJSON    Content = "application/json" // batch or point objects
	ContentLines   Content = "text/x-influx"    // line protocol
)

// precisions are the ticks of the times of line protocol, by the name that its Content-Type gives them.
var precisions = map[string]time.Duration{
	"ns": time.Nanosecond, "us": time.Microsecond, "ms": time.Millisecond, "s": time.Second,
}

// Decode makes b what body holds, in the form that the headers Content-Type and Content-Encoding say; with neither, the
// first bytes tell. arrival is when the message came to its stream: it is the time of points that do not say their own, and
// times far from it are counted as [Batch.NoteSkew] does. On an error b is empty. A line of line protocol that cannot be read
// is no error: it is counted, and the others stand; a [LineDecoder] of one's own tells which it is.
func (b *Batch) Decode(contentType, contentEncoding string, body []byte, arrival time.Time) error {
	b.Reset()
	if contentEncoding != "" {
		return refuse(CodeEncoding, "Content-Encoding "+contentEncoding+": send it without")
	}
	form, precision, err := contentOf(contentType, body)
	if err != nil {
		return err
	}
	if err := b.decodeForm(form, precision, body, arrival); err != nil {
		return err
	}
	b.NoteSkew(arrival)
	return nil
}

func (b *Batch) decodeForm(form Content, precision time.Duration, body []byte, arrival time.Time) error {
	switch form {
	case ContentJSON:
		return b.DecodeJSON(withoutMark(body), arrival)
	case ContentLines:
		return b.decodeLines(precision, body, arrival)
	}
	return b.DecodeMsgPack(body)
}

func (b *Batch) decodeLines(precision time.Duration, body []byte, arrival time.Time) error {
	switch {
	case len(body) == 0:
		return refuse(CodeEmpty, "no bytes")
	case len(body) > MaxMessage:
		return refuse(CodeTooLarge, "message")
	}
	b.lines.Precision = precision
	_ = b.lines.Decode(b, body, arrival) // which skips a byte order mark, and counts what it tells
	b.lines.Precision = 0
	return nil
}

// withoutMark returns text without the byte order mark that Windows programs write before it.
func withoutMark(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\ufeff")) }

// contentOf returns the form that a Content-Type names, or that body has where there is none.
func contentOf(contentType string, body []byte) (Content, time.Duration, error) {
	switch form := Content(contentType); form {
	case "":
		return sniff(body)
	case ContentMsgPack, ContentJSON, ContentLines: // as nearly every message has it
		return form, time.Nanosecond, nil
	}
	name, params, err := mime.ParseMediaType(contentType)
	form, precision := Content(name), time.Nanosecond
	if text, ok := params["precision"]; ok && form == ContentLines {
		precision = precisions[strings.ToLower(text)]
		delete(params, "precision")
	}
	switch {
	case err != nil || len(params) > 0 || precision == 0:
	case form == ContentMsgPack || form == ContentJSON || form == ContentLines:
		return form, precision, nil
	}
	return "", 0, refuse(CodeContentType, "Content-Type "+contentType+": want "+
		string(ContentMsgPack)+", "+string(ContentJSON)+" or "+string(ContentLines)+"; precision=ns|us|ms|s")
}

// sniff tells the form of body by its first byte.
func sniff(body []byte) (Content, time.Duration, error) {
	if len(body) == 0 {
		return "", 0, refuse(CodeEmpty, "no bytes")
	}
	if first := body[0]; first == 0xdc || first == 0xdd || first >= 0x90 && first <= 0x9f {
		return ContentMsgPack, 0, nil
	}
	text := bytes.TrimLeft(withoutMark(body), " \t\r\n")
	if len(text) > 0 {
		switch c := text[0]; {
		case c == '[' || c == '{':
			return ContentJSON, 0, nil
		case c > ' ' && c < 0x7f, c >= 0xc2 && c <= 0xf4 && c != 0xdc && c != 0xdd:
			return ContentLines, time.Nanosecond, nil
		}
	}
	return "", 0, refuse(CodeContentType, "none, and the first byte is no msgpack, JSON or line protocol")
}

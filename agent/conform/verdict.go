package conform

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pacewire/pacewire/telemetry"
)

// A verdict is how a check went when there is something to say of it.
type verdict struct {
	status  Status
	reason  string
	message string
}

// Error returns the reason.
func (v *verdict) Error() string { return v.reason }

// broken says that a promise was broken, by the message that is shown.
func broken(message []byte, format string, args ...any) error {
	return &verdict{Fail, fmt.Sprintf(format, args...), show(message)}
}

// skipped says why nothing can be said.
func skipped(format string, args ...any) error {
	return &verdict{Skip, fmt.Sprintf(format, args...), ""}
}

// noted is a pass of which there is something to say.
func noted(format string, args ...any) error {
	return &verdict{Pass, fmt.Sprintf(format, args...), ""}
}

const (
	mostShown = 600 // characters of a message
	mostHex   = 48  // bytes of one that nobody can read
)

// show returns a message shortened, and as JSON if it can be.
func show(body []byte) string {
	if len(body) == 0 {
		return ""
	}
	text := body
	if !readable(body) {
		text = decoded(body)
	}
	if text == nil {
		n := min(len(body), mostHex)
		return fmt.Sprintf("%d bytes: %s", len(body), hex.EncodeToString(body[:n])+strings.Repeat("...", min(1, len(body)-n)))
	}
	var compact bytes.Buffer
	if json.Compact(&compact, text) == nil {
		text = compact.Bytes()
	}
	return cut(string(text), mostShown)
}

// readable reports whether body is text.
func readable(body []byte) bool {
	control := func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' && r != '\r' }
	return utf8.Valid(body) && !bytes.ContainsFunc(body, control)
}

// decoded returns the JSON of a message in msgpack, nil if it is none of ours.
func decoded(body []byte) []byte {
	var b telemetry.Batch
	if b.DecodeMsgPack(body) == nil {
		return b.AppendJSON(nil)
	}
	for _, decode := range []func([]byte) (any, error){
		func(b []byte) (any, error) { h, _, err := telemetry.DecodeHeartbeat(b); return h, err },
		func(b []byte) (any, error) { a, _, err := telemetry.DecodeAck(b); return a, err },
		func(b []byte) (any, error) { d, _, err := telemetry.DecodePluginData(b); return d, err },
		func(b []byte) (any, error) { r, _, err := telemetry.DecodeCtlReply(b); return r, err },
		func(b []byte) (any, error) { r, _, err := telemetry.DecodeCtlRequest(b); return r, err },
	} {
		v, err := decode(body)
		if err != nil {
			continue
		}
		if text, err := json.Marshal(v); err == nil {
			return text
		}
	}
	return nil
}

// short is a value as it stands in a sentence.
func short(v []byte) string { return cut(string(v), 80) }

// cut shortens a text to n characters.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n]) + "..."
}

func isObject(text []byte) bool {
	var m map[string]json.RawMessage
	return json.Unmarshal(text, &m) == nil && m != nil
}

package otlp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pacewire/pacewire/plugin"
)

// A form is how a message is written, by its media type. An answer has that of its request.
type form string

const (
	protobufForm form = "application/x-protobuf"
	jsonForm     form = "application/json"
)

// A code is one of gRPC.
type code uint64

const (
	codeInvalid           code = 3 // INVALID_ARGUMENT
	codeLate              code = 4 // DEADLINE_EXCEEDED
	codeResourceExhausted code = 8
	codeUnimplemented     code = 12
	codeUnavailable       code = 14
	codeUnauthenticated   code = 16
)

// codes are those for the statuses, which the body of an error repeats.
var codes = map[int]code{
	http.StatusBadRequest:            codeInvalid,
	http.StatusUnauthorized:          codeUnauthenticated,
	http.StatusNotFound:              codeUnimplemented,
	http.StatusMethodNotAllowed:      codeUnimplemented,
	http.StatusRequestEntityTooLarge: codeResourceExhausted,
	http.StatusUnsupportedMediaType:  codeInvalid,
	http.StatusTooManyRequests:       codeResourceExhausted,
	http.StatusServiceUnavailable:    codeUnavailable,
}

const retryAfter = 2 // seconds

// statusMessage returns a google.rpc.Status.
func statusMessage(c code, message string) []byte {
	body := protowire.AppendTag(nil, 1, protowire.VarintType)
	body = protowire.AppendVarint(body, uint64(c))
	body = protowire.AppendTag(body, 2, protowire.BytesType)
	return protowire.AppendString(body, valid(message))
}

// fail answers with a Status.
func (f form) fail(w http.ResponseWriter, status int, message string) {
	if f == jsonForm {
		text, _ := json.Marshal(map[string]any{"code": codes[status], "message": message}) // no such value fails
		f.send(w, status, text)
		return
	}
	f.send(w, status, statusMessage(codes[status], message))
}

// success returns an ExportMetricsServiceResponse, which is empty when all is well.
func (f form) success(rejected int, message string) []byte {
	switch {
	case f == jsonForm && message == "":
		return []byte("{}")
	case f == jsonForm:
		text, _ := json.Marshal(map[string]any{"partialSuccess": map[string]string{ // 64 bits are a text in JSON
			"rejectedDataPoints": strconv.Itoa(rejected), "errorMessage": message}})
		return text
	case message == "":
		return nil
	}
	part := protowire.AppendTag(nil, 1, protowire.VarintType)
	part = protowire.AppendVarint(part, uint64(rejected))
	part = protowire.AppendTag(part, 2, protowire.BytesType)
	part = protowire.AppendString(part, valid(message))
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), part)
}

// valid returns text as UTF-8, which readers of protobuf insist on.
func valid(text string) string { return string([]rune(text)) }

func (f form) send(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", string(f))
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

// An outcome is what has become of a request.
type outcome struct {
	status   int   // of HTTP
	err      error // unless all that is not rejected is stored
	rejected int   // data points that must not come again
	message  string
}

// away says that points are not stored, and may come again.
func away(err error) outcome {
	status := http.StatusServiceUnavailable
	if errors.Is(err, plugin.ErrFlood) || errors.Is(err, errNoRoom) {
		status = http.StatusTooManyRequests
	}
	return outcome{status: status, err: fmt.Errorf("points are not stored: %w", err)}
}

// unread says that the message of a request cannot be had.
func unread(err error) outcome {
	switch {
	case errors.Is(err, errNoRoom), errors.Is(err, os.ErrDeadlineExceeded): // a slow network may be faster the next time
		return away(err)
	case errors.Is(err, errTooLarge):
		return outcome{status: http.StatusRequestEntityTooLarge, err: err}
	case errors.Is(err, errEncoding):
		return outcome{status: http.StatusUnsupportedMediaType, err: err}
	}
	return outcome{status: http.StatusBadRequest, err: err}
}

// comeAgain reports whether the client is to send the same again.
func (o outcome) comeAgain() bool {
	return o.status == http.StatusServiceUnavailable || o.status == http.StatusTooManyRequests
}

// answer tells a client of HTTP.
func (o outcome) answer(w http.ResponseWriter, f form) {
	if o.err == nil {
		f.send(w, http.StatusOK, f.success(o.rejected, o.message))
		return
	}
	if o.comeAgain() {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	f.fail(w, o.status, o.err.Error())
}

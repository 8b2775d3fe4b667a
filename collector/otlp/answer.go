package otlp

import (
	"encoding/json"
	"errors"
	"net/http"
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

// codes are those of gRPC for the statuses, which the body of an error repeats.
var codes = map[int]uint64{
	http.StatusBadRequest:            3,  // INVALID_ARGUMENT
	http.StatusNotFound:              12, // UNIMPLEMENTED
	http.StatusMethodNotAllowed:      12,
	http.StatusRequestEntityTooLarge: 8, // RESOURCE_EXHAUSTED
	http.StatusUnsupportedMediaType:  3,
	http.StatusTooManyRequests:       8,
	http.StatusServiceUnavailable:    14, // UNAVAILABLE
}

// fail answers with a Status.
func (f form) fail(w http.ResponseWriter, status int, message string) {
	code := codes[status]
	if f == jsonForm {
		text, _ := json.Marshal(map[string]any{"code": code, "message": message}) // no such value fails
		f.send(w, status, text)
		return
	}
	body := protowire.AppendTag(nil, 1, protowire.VarintType)
	body = protowire.AppendVarint(body, code)
	body = protowire.AppendTag(body, 2, protowire.BytesType)
	f.send(w, status, protowire.AppendString(body, valid(message)))
}

// succeed answers with an ExportMetricsServiceResponse, which is empty when all is well.
func (f form) succeed(w http.ResponseWriter, rejected int, message string) {
	switch {
	case f == jsonForm && message == "":
		f.send(w, http.StatusOK, []byte("{}"))
	case f == jsonForm:
		text, _ := json.Marshal(map[string]any{"partialSuccess": map[string]string{ // 64 bits are a text in JSON
			"rejectedDataPoints": strconv.Itoa(rejected), "errorMessage": message}})
		f.send(w, http.StatusOK, text)
	case message == "":
		f.send(w, http.StatusOK, nil)
	default:
		part := protowire.AppendTag(nil, 1, protowire.VarintType)
		part = protowire.AppendVarint(part, uint64(rejected))
		part = protowire.AppendTag(part, 2, protowire.BytesType)
		part = protowire.AppendString(part, valid(message))
		f.send(w, http.StatusOK, protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), part))
	}
}

// valid returns text as UTF-8, which readers of protobuf insist on.
func valid(text string) string { return string([]rune(text)) }

func (f form) send(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", string(f))
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

// answer tells the client what has become of its request.
func (o outcome) answer(w http.ResponseWriter, f form) {
	switch {
	case errors.Is(o.refused, plugin.ErrFlood):
		turnAway(w, f, http.StatusTooManyRequests, o.refused)
	case o.refused != nil:
		turnAway(w, f, http.StatusServiceUnavailable, o.refused)
	case o.malformed != nil:
		f.fail(w, http.StatusBadRequest, o.malformed.Error())
	default:
		f.succeed(w, o.rejected, o.message)
	}
}

// refuse answers a request whose body cannot be had.
func refuse(w http.ResponseWriter, f form, err error) {
	switch {
	case errors.Is(err, errNoRoom):
		turnAway(w, f, http.StatusTooManyRequests, err)
	case errors.Is(err, errTooLarge):
		f.fail(w, http.StatusRequestEntityTooLarge, err.Error())
	case errors.Is(err, errEncoding):
		f.fail(w, http.StatusUnsupportedMediaType, err.Error())
	default:
		f.fail(w, http.StatusBadRequest, err.Error())
	}
}

// turnAway asks the client to come again.
func turnAway(w http.ResponseWriter, f form, status int, err error) {
	w.Header().Set("Retry-After", retryAfter)
	f.fail(w, status, "points are not stored: "+err.Error())
}

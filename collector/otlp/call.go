package otlp

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// exportPath is the one call that is answered.
const exportPath = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"

var errFrame = errors.New("want one message with its length before it")

// caller answers calls of gRPC.
func (w *web) caller() http.Handler {
	calls := w.guard(http.HandlerFunc(w.call), func(rw http.ResponseWriter, _ *http.Request, o outcome) { o.hangUp(rw) })
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		switch {
		case r.ProtoMajor < 2 || kind != "application/grpc" && kind != "application/grpc+proto":
			formOf(r).fail(rw, http.StatusUnsupportedMediaType, "want gRPC, with protobuf: OTLP over HTTP has an address of its own")
		case r.Method != http.MethodPost:
			rw.Header().Set("Allow", http.MethodPost)
			formOf(r).fail(rw, http.StatusMethodNotAllowed, "want POST")
		default:
			rw.Header().Set("Content-Type", "application/grpc")
			calls.ServeHTTP(rw, r)
		}
	})
}

// call answers a call.
func (w *web) call(rw http.ResponseWriter, r *http.Request) {
	if r.URL.Path != exportPath {
		hangUp(rw, codeUnimplemented, "want "+exportPath[1:]+": logs and traces are not taken", nil)
		return
	}
	patience, err := w.patience(r.Header.Get("Grpc-Timeout"))
	if err != nil {
		o := outcome{status: http.StatusBadRequest, err: err}
		w.note(r, o)
		o.hangUp(rw)
		return
	}
	if patience < w.l.giveUp {
		_ = http.NewResponseController(rw).SetReadDeadline(time.Now().Add(patience)) // HTTP/2 can do that
	}
	o := w.store(protobufForm, patience, func(b *body) ([]byte, error) { return b.readFrame(r) })
	w.note(r, o)
	late := errors.Is(o.err, errOverdue) || errors.Is(o.err, os.ErrDeadlineExceeded)
	switch {
	case o.err == nil:
		complete(rw, protobufForm.success(o.rejected, o.message))
	case late && patience < w.l.giveUp:
		hangUp(rw, codeLate, o.err.Error(), nil)
	default:
		o.hangUp(rw)
	}
}

// patience returns how long a call may take by its header grpc-timeout, and by what clients wait at all.
func (w *web) patience(text string) (time.Duration, error) {
	if text == "" {
		return w.l.giveUp, nil
	}
	digits, unit := text[:len(text)-1], timeoutUnits[text[len(text)-1]]
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || len(digits) > 8 || unit == 0 {
		return 0, fmt.Errorf("grpc-timeout %q: want up to 8 digits and one of H, M, S, m, u, n", text)
	}
	if time.Duration(n) > w.l.giveUp/unit {
		return w.l.giveUp, nil
	}
	return time.Duration(n) * unit, nil
}

var timeoutUnits = map[byte]time.Duration{
	'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': 1,
}

// frameHead is what comes before a message: whether it is compressed, and its length.
const frameHead = 1 + 4

// readFrame returns the one message of a call, decompressed. It lives until release.
func (b *body) readFrame(r *http.Request) ([]byte, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r.Body, head[:]); err != nil {
		return nil, cutOff(err)
	}
	size, limit := binary.BigEndian.Uint32(head[1:]), b.l.cfg.MaxBody
	encoding := "identity"
	switch {
	case head[0] > 1:
		return nil, errFrame
	case head[0] == 1:
		encoding = r.Header.Get("Grpc-Encoding")
	}
	if head[0] == 1 && encoding != "gzip" {
		return nil, fmt.Errorf("%w %q: send plain messages or gzip", errEncoding, encoding)
	}
	if uint64(size) > uint64(limit) {
		return nil, overLimit(limit)
	}
	var err error
	if b.raw, err = b.fill(b.raw, int(size), io.LimitReader(r.Body, int64(size)), limit); err != nil {
		return nil, cutOff(err)
	}
	if len(b.raw) < int(size) {
		return nil, cutOff(io.ErrUnexpectedEOF)
	}
	if n, err := io.ReadFull(r.Body, head[:1]); n > 0 {
		return nil, errFrame
	} else if !errors.Is(err, io.EOF) {
		return nil, cutOff(err)
	}
	if encoding == "gzip" {
		return b.inflate()
	}
	return b.raw, nil
}

// cutOff says that a message has not come whole.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it is cut off", errFrame)
	}
	return fmt.Errorf("read the message: %w", err)
}

// complete answers a call that went well.
func complete(w http.ResponseWriter, message []byte) {
	var head [frameHead]byte
	binary.BigEndian.PutUint32(head[1:], uint32(len(message)))
	_, _ = w.Write(append(head[:], message...)) // the client may be gone
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
}

// hangUp tells the client of a call what has become of it.
func (o outcome) hangUp(w http.ResponseWriter) {
	c := codes[o.status]
	switch o.status {
	case http.StatusTooManyRequests:
		c = codeUnavailable // clients come again for that alone
	case http.StatusUnsupportedMediaType:
		c = codeUnimplemented
		w.Header().Set("Grpc-Accept-Encoding", "identity,gzip")
	}
	var details []byte
	if o.comeAgain() {
		details = retryInfo()
	}
	hangUp(w, c, o.err.Error(), details)
}

// hangUp ends a call with a code other than OK, before anything has been answered. details may be nil.
func hangUp(w http.ResponseWriter, c code, message string, details []byte) {
	h := w.Header()
	h.Set("Grpc-Status", strconv.Itoa(int(c)))
	h.Set("Grpc-Message", percent(valid(message)))
	if details != nil {
		status := protowire.AppendTag(statusMessage(c, message), 3, protowire.BytesType)
		status = protowire.AppendBytes(status, details)
		h.Set("Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(status))
	}
	w.WriteHeader(http.StatusOK)
}

// retryInfo returns an Any with a google.rpc.RetryInfo.
func retryInfo() []byte {
	delay := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), retryAfter)
	info := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), delay)
	wrapped := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "type.googleapis.com/google.rpc.RetryInfo")
	return protowire.AppendBytes(protowire.AppendTag(wrapped, 2, protowire.BytesType), info)
}

// percent writes what a header cannot have as %XX.
func percent(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

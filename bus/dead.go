package bus

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Headers of a dead letter, beside the payload and the content type it had.
const (
	HeaderReason     = "Pw-Reason"     // a code: rejected, invalid, too_many_deliveries ...
	HeaderError      = "Pw-Error"      // what sink or decoder said
	HeaderSubject    = "Pw-Subject"    // where it was
	HeaderStreamSeq  = "Pw-Stream-Seq" // its place in the stream
	HeaderDeliveries = "Pw-Deliveries" // how often it was given out
	HeaderSourceID   = "Pw-Source-Id"  // the id it had
	HeaderStored     = "Pw-Stored"     // when it was stored there, RFC 3339
	HeaderLeftOut    = "Pw-Left-Out"   // bytes of the payload, where that made the letter too large
)

const headerEncoding = "Content-Encoding"

const deadID = "dead/" // ids of letters begin so

const maxErrorText = 512

// Dead puts d, which can never be delivered, into the stream DEAD under plugin's
// name, and then settles it. code names the reason in one word, reason is what the
// sink or decoder said. After an error d is not settled; the same call again within
// two minutes stores no second letter, if the publisher has a LetterKey.
func (p *Publisher) Dead(ctx context.Context, d *Delivery, plugin, consumer, reason, code string) error {
	if err := p.DeadPart(ctx, d, d.Body, 0, plugin, consumer, reason, code); err != nil {
		return err
	}
	return d.Term(code)
}

// DeadPart puts body, which is a part of d, into the stream DEAD under plugin's name, and leaves d to be settled with the
// other parts. Parts of one delivery are told apart by their number; 0 is the whole.
func (p *Publisher) DeadPart(ctx context.Context, d *Delivery, body []byte, part int, plugin, consumer, reason, code string) error {
	m := Message{
		Subject:     DeadSubject(plugin),
		ID:          p.letterID(d, body, part, plugin, consumer),
		ContentType: d.ContentType,
		Body:        body,
		Header: map[string]string{
			HeaderReason:     code,
			HeaderError:      reason[:min(len(reason), maxErrorText)],
			HeaderSubject:    d.Subject,
			HeaderStreamSeq:  strconv.FormatUint(d.StreamSeq, 10),
			HeaderDeliveries: strconv.Itoa(d.Deliveries),
			HeaderStored:     d.Stored.UTC().Format(time.RFC3339Nano),
		},
	}
	if encoding := d.Header(headerEncoding); encoding != "" && part == 0 { // a part was decoded
		m.Header[headerEncoding] = encoding
	}
	if d.ID != "" {
		m.Header[HeaderSourceID] = d.ID
	}
	err := p.Publish(ctx, m)
	if errors.Is(err, ErrTooLarge) {
		// With what it says of itself it is more than the bus takes: better a letter without its content than a reader that stands still.
		m.Header[HeaderError] = fmt.Sprintf("its %d bytes are left out, the letter would be too large: %s", len(m.Body), m.Header[HeaderError])
		m.Header[HeaderLeftOut], m.Body = strconv.Itoa(len(m.Body)), nil
		err = p.Publish(ctx, m)
	}
	if err != nil {
		return fmt.Errorf("dead letter: %w", err)
	}
	return nil
}

// letterID returns the id of the letter of d, or of a part of it. Who can guess it can use it up, and the letter is lost: so it ends
// in what only who knows the key can compute. The same id means the same content, of the same batch, for the same reader.
func (p *Publisher) letterID(d *Delivery, body []byte, part int, plugin, consumer string) string {
	id := deadID + Token(consumer) + "/" + strconv.FormatUint(d.StreamSeq, 10) + "/"
	if part > 0 {
		id += strconv.Itoa(part) + "/"
	}
	var key []byte
	if p.opts.LetterKey != nil {
		key = p.opts.LetterKey()
	}
	if len(key) == 0 {
		return id + rand.Text() // two letters of one batch are harmless, one less is not
	}
	h := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(h, "%q %q %q %d ", id, plugin, d.Subject, d.Stored.UnixNano()) // a stream that was made anew begins with the same numbers
	_, _ = h.Write(body)
	return id + hex.EncodeToString(h.Sum(nil)[:16])
}

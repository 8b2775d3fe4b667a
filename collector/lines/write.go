package lines

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	firstPiece = 16 << 10 // of memory for a body whose length is not known
	heldText   = 1 << 20  // bytes of a body that are held back until all of it has been read
)

// write answers a request that brings points.
func (w *web) write(d dialect, rw http.ResponseWriter, r *http.Request) {
	unit, err := w.precision(r)
	if err != nil {
		d.fail(http.StatusBadRequest, err.Error())
		return
	}
	if w.stalled.Load() > 0 {
		w.turnAway(rw, d, errors.New("the bus takes no points at the moment"))
		return
	}
	p := w.body()
	defer w.bodies.Put(p)
	text, err := p.open(rw, r, int64(w.l.cfg.MaxBody))
	if err != nil {
		d.fail(statusOf(err), err.Error())
		return
	}
	in := r.Context().Value(sourceKey{}).(*intake)
	in.begin(unit)
	u := &upload{intake: in, web: w, batch: &p.batch}
	err = u.read(text, r.ContentLength)
	switch {
	case errors.Is(u.refused, telemetry.CodeTooLarge): // the other points are stored, and no further try will help this one
		d.fail(http.StatusRequestEntityTooLarge, u.refused.Error())
	case u.refused != nil:
		w.turnAway(rw, d, u.refused)
	case err != nil:
		d.fail(statusOf(err), u.afterSome(err))
	case u.left > 0:
		d.fail(http.StatusBadRequest, u.partial())
	default:
		rw.WriteHeader(http.StatusNoContent)
	}
}

// precision returns the unit of the times of r.
func (w *web) precision(r *http.Request) (time.Duration, error) {
	name := r.URL.Query().Get("precision")
	if name == "" {
		return w.l.unit, nil
	}
	unit, ok := units[name]
	if !ok {
		return 0, fmt.Errorf("invalid precision %q (use n, ns, u, us, ms, s, m or h)", name)
	}
	return unit, nil
}

// turnAway asks the client to come again.
func (w *web) turnAway(rw http.ResponseWriter, d dialect, err error) {
	rw.Header().Set("Retry-After", retryAfter)
	d.fail(http.StatusServiceUnavailable, "points are not stored: "+err.Error())
}

func (w *web) body() *body {
	if p, ok := w.bodies.Get().(*body); ok {
		return p
	}
	return new(body)
}

// begin makes in ready for another text.
func (in *intake) begin(unit time.Duration) {
	in.lines, in.cut.skipping = 0, false
	in.decode.Precision = unit
}

// An upload is the body of a request on its way to the bus.
type upload struct {
	*intake
	web   *web
	batch *telemetry.Batch

	text   []byte // memory of batch
	end    int    // of what was read
	limit  int    // of the length of text
	held   int    // bytes of text that batch holds
	stored int    // points

	left    int             // lines and fields left out
	drops   telemetry.Drops // of these, those that have a code
	faults  []error         // of some of them
	over    error           // points left out, of too many series
	refused error           // by the bus
}

// read reads the body and stores its points. What was read of a body that then fails is stored only if it was much.
func (u *upload) read(body io.Reader, length int64) error {
	u.batch.Reset()
	_, u.limit = u.l.cfg.pieces()
	size := firstPiece
	if length > 0 {
		size = int(min(length+2, int64(u.limit)))
	}
	u.text = u.batch.Text(size)
	for {
		if u.end+1 >= len(u.text) && !u.makeRoom() {
			return nil
		}
		n, err := body.Read(u.text[u.end : len(u.text)-1]) // there is always room for a newline
		u.end += n
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	u.text[u.end] = '\n' // the last line may lack it
	u.end++
	u.decodeText(true)
	u.emit()
	return nil
}

// makeRoom makes room for more text: a larger piece of memory, or a new one after points were made of the text that fills
// it. It returns false when the bus does not take them.
func (u *upload) makeRoom() bool {
	rest := u.text[:u.end]
	size := 2 * len(u.text)
	if size > u.limit {
		size = u.limit
		if len(u.text) >= u.limit {
			rest = u.decodeText(false)
		}
	}
	if u.held >= heldText {
		rest = append([]byte(nil), rest...) // the batch's memory is used again
		if !u.emit() {
			return false
		}
		u.batch.Reset()
		u.held = 0
	}
	u.text = u.batch.Text(size)
	u.end = copy(u.text, rest)
	return true
}

// decodeText makes points of the text, and returns the begin of a line at its end.
func (u *upload) decodeText(last bool) (rest []byte) {
	before := *u.batch.Drops()
	rest, err := u.take(u.batch, u.text[:u.end], last)
	u.held += u.end
	u.left += u.batch.Drops().Total() - before.Total()
	for code, n := range u.batch.Drops() {
		u.drops[code] += n - before[code]
	}
	for _, err := range flat(err) {
		u.fault(err)
	}
	return rest
}

// fault keeps what is wrong with a line, for the answer.
func (u *upload) fault(err error) {
	if e, ok := errors.AsType[*telemetry.DecodeError](err); ok {
		err = fmt.Errorf("line %d: %s", e.Line, e.Where)
	}
	if e, ok := errors.AsType[*tooLongError](err); ok {
		u.left++
		err = fmt.Errorf("line %d: %w", e.line, e)
	}
	u.faults = append(u.faults, err)
}

// flat returns the errors that err joins.
func flat(err error) []error {
	if err == nil {
		return nil
	}
	many, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range many.Unwrap() {
		all = append(all, flat(e)...)
	}
	return all
}

// emit stores the points there are.
func (u *upload) emit() bool {
	n := u.batch.Len()
	err := u.web.emit(u.batch)
	if over, ok := errors.AsType[*plugin.SeriesLimitError](err); ok { // the others are stored
		u.left, u.over, err = u.left+over.Points, over, nil
		n -= over.Points
	}
	if err != nil {
		u.refused = err
		return false
	}
	u.stored += n
	return true
}

// afterSome adds to err that some points of the body were stored all the same.
func (u *upload) afterSome(err error) string {
	if u.stored == 0 {
		return err.Error()
	}
	return fmt.Sprintf("partial write: %v, after %s stored", err, amount.Of(u.stored, "point was", "points were"))
}

const maxFaults = 5

// partial says what was left out of a body whose other points are stored.
func (u *upload) partial() string {
	var b strings.Builder
	if u.stored > 0 {
		b.WriteString("partial write: ")
	}
	for _, err := range u.faults[:min(len(u.faults), maxFaults)] {
		fmt.Fprintf(&b, "unable to parse %v\n", err)
	}
	switch {
	case u.over != nil:
		fmt.Fprintf(&b, "%v\n", u.over)
	case len(u.faults) == 0:
		fmt.Fprintf(&b, "some fields cannot be held (%s): ", u.codes())
	}
	fmt.Fprintf(&b, "dropped=%d", u.left)
	return b.String()
}

// codes says why fields were left out.
func (u *upload) codes() string {
	var all []string
	u.drops.Each(func(code telemetry.Code, n int) { all = append(all, fmt.Sprintf("%v %d", code, n)) })
	return strings.Join(all, ", ")
}

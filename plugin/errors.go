package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/amount"
)

var (
	// ErrTooLarge is returned by a publisher whose sink finds the batch too large: it is halved and each half given again.
	// A point that is too large alone goes to the dead letters.
	ErrTooLarge = errors.New("batch is too large for the sink")

	// ErrNoData is returned where there is nothing to report and nothing is wrong: a section that this kernel lacks, a
	// device that is not fitted. From New it makes the plugin idle until it gets another config or a refresh.
	ErrNoData = errors.New("no data")

	// ErrTaken is returned by New, wrapped, when another process has what this one needs alone: a lock, a device. While it
	// takes over from that process it is ready all the same, and New is called again when that one has gone; at any other
	// time it is an error like others. An address in use (EADDRINUSE) says the same.
	ErrTaken = errors.New("taken by another process")

	// ErrOverflow is returned to who waits for points to be stored when the queue to the bus is full, and its policy
	// (overflow: drop_oldest or drop_new) drops them: they may be sent again later.
	ErrOverflow = errors.New("the queue to the bus is full, and the points are dropped")

	// ErrFlood is returned to who waits for points to be stored when there are more a second than max_rate allows, and none
	// of them is: they may be sent again later. They are counted as refused, not as dropped.
	ErrFlood = errors.New("more points a second than max_rate allows")

	// ErrRefused is returned by Serve when the agent does not want this plugin; the reason is wrapped with it.
	ErrRefused = errors.New("refused by the agent")

	// ErrNoBus is returned by Serve when the bus is not reached within Options.Wait.
	ErrNoBus = errors.New("no bus")

	// errDial marks errors of dialling that waiting does not mend: the URL, the credentials.
	errDial = errors.New("cannot dial")
)

// After returns err with the wish that the call be tried again after d, as an HTTP server says by Retry-After.
func After(err error, d time.Duration) error { return &verdict{err: err, after: d} }

// Permanent returns err with the promise that trying again never helps. A batch goes to the dead letters with err as the
// reason; a collector, or New, is not tried again before its config changes.
func Permanent(err error) error { return &verdict{err: err, permanent: true} }

// Refuse returns err with the news that what is still in the batch is refused for good, and that everything else of it is
// confirmed: for publishers whose sink takes a batch in part and tells which. They leave the refused points in the batch;
// those go to the dead letters with err as the reason. From other kinds it means what Permanent means.
func Refuse(err error) error { return &verdict{err: err, permanent: true, rest: true} }

// Denied returns err with the news that somebody has to act: a password is wrong, a database is missing. The batch waits
// and is tried again slowly, and an alarm is raised.
func Denied(err error) error { return &verdict{err: err, denied: true} }

// A verdict says what is to be done about an error.
type verdict struct {
	err               error
	after             time.Duration
	permanent, denied bool
	rest              bool // permanent for what is left in the batch only
}

func (v *verdict) Error() string { return v.err.Error() }

func (v *verdict) Unwrap() error { return v.err }

// verdictOf returns what err says is to be done; the zero verdict for an ordinary error.
func verdictOf(err error) verdict {
	if v, ok := errors.AsType[*verdict](err); ok {
		return *v
	}
	return verdict{}
}

// IsPermanent reports whether err promises that trying again never helps.
func IsPermanent(err error) bool { return verdictOf(err).permanent }

// IsRefused reports whether err is about what is left in the batch only.
func IsRefused(err error) bool { return verdictOf(err).rest }

// IsDenied reports whether err says that somebody has to act.
func IsDenied(err error) bool { return verdictOf(err).denied }

// RetryAfter returns how long err asks to wait before the next try; 0 when it does not say.
func RetryAfter(err error) time.Duration { return verdictOf(err).after }

// A SeriesLimitError is returned to who waits for points to be stored when some of them are of more series than max_series
// allows. Those are dropped, and sending them again does not help; the others are stored.
type SeriesLimitError struct{ Points int } // dropped

// Error says how many points were dropped, and why.
func (e *SeriesLimitError) Error() string {
	return amount.Of(e.Points, "point is of more series than max_series allows, and is dropped", "points are of more series than max_series allows, and are dropped")
}

// A lateError is one of a call that has had no answer within its time.
type lateError struct {
	err   error
	limit time.Duration
}

func (e *lateError) Error() string {
	return strings.ReplaceAll(e.err.Error(), context.DeadlineExceeded.Error(), "no answer in "+e.limit.String())
}

func (e *lateError) Unwrap() error { return e.err }

// oneLine writes the lines of a text one behind the other: joined errors, and the answers of sinks, have several.
func oneLine(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

// A panicError is a panic of an author's code, taken as an error.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }

package plugin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os/exec"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

const (
	surveyEvery = time.Hour        // unless the config says otherwise
	surveyApart = 10 * time.Second // between two surveys, whoever asks
)

// facts is one survey: what was found, and what went wrong.
type facts struct {
	data   telemetry.Facts
	fault  *telemetry.Fault
	at     time.Time
	took   time.Duration
	size   int
	digest telemetry.Digest
}

// A refreshOrder asks for a survey; done is closed after it.
type refreshOrder struct{ done chan struct{} }

// Keep calls survey at the start, each hour or as the config says, and when a refresh asks for it; it keeps the facts, and
// sends them when they are new.
func (s *Session) Keep(ctx context.Context, survey func(ctx context.Context, out telemetry.Facts) error) error {
	every := surveyEvery
	if s.work.EveryMS > 0 {
		every = time.Duration(s.work.EveryMS) * time.Millisecond
	}
	last := time.Time{}
	var waiting []refreshOrder
	answer := func() {
		for _, o := range waiting {
			close(o.done)
		}
		waiting = waiting[:0]
	}
	defer answer()
	for {
		if !sleep(ctx, time.Until(last.Add(surveyApart))) && !last.IsZero() {
			return nil
		}
		waiting = s.orders(waiting)
		err := s.survey(survey)
		last = time.Now()
		answer()
		if err := s.Note(err); err != nil {
			return err
		}
		if s.once {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every - every/10 + rand.N(every/5+1)):
		case o := <-s.refresh:
			waiting = append(waiting, o)
		}
	}
}

// orders appends the refreshes that wait: one survey answers them all.
func (s *Session) orders(dst []refreshOrder) []refreshOrder {
	for {
		select {
		case o := <-s.refresh:
			dst = append(dst, o)
		default:
			return dst
		}
	}
}

// survey calls survey once, and keeps what it finds. What this host cannot tell, whoever asks, is a fault of the facts, and no
// failure of the plugin.
func (s *Session) survey(survey func(ctx context.Context, out telemetry.Facts) error) error {
	f := &facts{data: telemetry.Facts{}, at: time.Now()}
	s.count.ticks.Add(1)
	err := s.Call(func(ctx context.Context) error { return survey(ctx, f.data) })
	f.took = time.Since(f.at)
	if err != nil {
		f.fault = &telemetry.Fault{Code: faultCode(err), Message: shorten(err.Error())}
	}
	if f.fault != nil && f.fault.Code == telemetry.FaultDependency {
		s.log.Debug("facts of this host cannot be read", "error", err)
		err = nil
	}
	if unfit := f.measure(); unfit != nil {
		f.data, f.fault = nil, &telemetry.Fault{Code: telemetry.FaultInvalid, Message: shorten(unfit.Error())}
		err = errors.Join(err, unfit)
	}
	s.status.keeps(f)
	return err
}

// measure notes what the facts come to. The error says that they cannot be sent.
func (f *facts) measure() error {
	text, err := f.data.Encode(telemetry.MsgPack)
	if err != nil {
		return err
	}
	if len(text) > telemetry.MaxPluginData {
		return fmt.Errorf("the facts have %d bytes, at most %d can be sent: let it collect less", len(text), telemetry.MaxPluginData)
	}
	f.size, f.digest = len(text), telemetry.DigestOf(text)
	return nil
}

// faultCode returns the class of an error of a survey, as plugin data carry it.
func faultCode(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, fs.ErrPermission):
		return "denied"
	case errors.Is(err, exec.ErrNotFound):
		return "dependency"
	case errors.Is(err, fs.ErrNotExist):
		return "not_found"
	case IsPermanent(err):
		return "invalid"
	}
	return "internal"
}

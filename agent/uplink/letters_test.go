package uplink

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// What is refused for good fills half of the letters at most. The rest waits in the spool, which is said, and goes on when it is taken.
func TestLettersHalfFull(t *testing.T) {
	const most = 1 << 20
	r := newRig(t)
	r.o.Times.Deny = 10 * time.Millisecond
	r.local.Limit(t, bus.StreamDead, bustest.Limits{MaxBytes: most})
	may := r.o.Central.CredsFile
	rights := bus.SpoolRights(host)
	rights.Publish = slices.DeleteFunc(rights.Publish, func(subject string) bool { return strings.HasPrefix(subject, "pw.metrics.") })
	rights.Publish = append(rights.Publish, bus.MetricsSubject(host, "mem"))
	r.o.Central.CredsFile = grant(t, r.central, bus.User(host, bus.Agent), rights)
	r.run()
	other := r.publisher("mem")
	for range 200 { // 1.6 MB are refused, while others are taken
		r.make(1, 8<<10)
		if err := other.Publish(t.Context(), bus.Message{Subject: bus.MetricsSubject(host, "mem"), Body: []byte("0 of another")}); err != nil {
			t.Fatal(err)
		}
	}
	bustest.Wait(t, within, "it is told", func() bool {
		s := r.up.Status()
		return s.State == telemetry.UplinkDenied && strings.Contains(s.Reason, "dead letters fill half")
	})
	letters, err := r.local.Conn(t, "operator").StreamInfo(t.Context(), bus.StreamDead)
	if err != nil || letters.FirstSeq != 1 || letters.Bytes < most/2 || letters.Bytes > most*2/3 {
		t.Errorf("letters here: %+v, %v", letters, err)
	}
	r.crash()
	set := int(r.up.Status().SetAside)
	if s := r.up.Status(); set == 0 || set > int(letters.Messages)+1 || s.Lost > 0 {
		t.Errorf("%+v, and %d letters", s, letters.Messages)
	}
	r.o.Central.CredsFile = may
	r.run()
	r.await(2*200 - set)
	if n, dead := r.count(bus.StreamMetrics), r.letters(); n+dead != 2*200 {
		t.Errorf("%d of 400 are over there, and %d are letters", n, dead)
	}
	bustest.Wait(t, within, "all is well", func() bool { return r.up.Status().State == telemetry.UplinkOK })
}

// A message that is too large for the bus of the fleet holds up nothing, whatever fills the letters: it would never go on.
func TestTooLargeBesideLetters(t *testing.T) {
	r := newRig(t)
	r.local.Limit(t, bus.StreamDead, bustest.Limits{MaxBytes: 1 << 20})
	r.central.Limit(t, bus.StreamMetrics, bustest.Limits{MaxMsgSize: 64 << 10})
	others := r.publisher("sink")
	for range 9 { // more than half
		if err := others.Publish(t.Context(), bus.Message{Subject: bus.DeadSubject("sink"), Body: make([]byte, 64<<10)}); err != nil {
			t.Fatal(err)
		}
	}
	r.run()
	if err := r.source.Publish(t.Context(), bus.Message{Subject: bus.MetricsSubject(host, "cpu"), Body: make([]byte, 100<<10)}); err != nil {
		t.Fatal(err)
	}
	r.make(10, 100)
	r.inOrder()
	if s, n := r.up.Status(), r.letters(); s.SetAside != 1 || s.State != telemetry.UplinkOK || n != 10 {
		t.Errorf("%+v, and %d letters", s, n)
	}
}

// letters returns how many messages were set aside here.
func (r *rig) letters() int {
	r.t.Helper()
	s, err := r.local.Conn(r.t, "operator").StreamInfo(r.t.Context(), bus.StreamDead)
	if err != nil {
		r.t.Fatal(err)
	}
	return int(s.Messages)
}

package liveness

import (
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

func bye(reason string) func(*telemetry.Heartbeat) {
	return func(b *telemetry.Heartbeat) { b.Bye = reason }
}

func TestSilenceIsOverdueThenDown(t *testing.T) {
	r := newRig(t)
	r.run(30*time.Second, "a")
	r.wants("a up")
	r.run(24 * time.Second)
	r.wants()
	r.run(time.Second)
	r.wants("a overdue")
	r.run(14 * time.Second)
	r.wants()
	r.run(time.Second)
	r.wants("a down disconnected")
	r.run(time.Hour)
	r.wants()
	r.hear(r.beat("a", 1))
	r.wants("a up")
}

func TestGoodbye(t *testing.T) {
	r := newRig(t)
	r.run(30*time.Second, "a")
	r.take()
	r.hear(r.beat("a", 1, bye("shutdown")))
	r.wants("a left shutdown")
	r.run(59 * time.Minute)
	r.wants()
	r.run(time.Minute + time.Second)
	r.wants("a forgotten shutdown")
}

package host

import (
	"context"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// report publishes what plugins count of themselves as series plugin, at each interval, until ctx ends.
func (h *Host) report(ctx context.Context) error {
	every := h.interval()
	t := time.NewTicker(every)
	defer t.Stop()
	var b telemetry.Batch
	for {
		select {
		case <-ctx.Done():
			return nil
		case at := <-t.C:
			if now := h.interval(); now != every { // of a config that was read since
				every = now
				t.Reset(every)
			}
			b.Reset()
			b.At(at.Truncate(time.Microsecond))
			for _, s := range h.Statuses() {
				addStatus(&b, s)
			}
			addUplink(&b, h.uplink())
			m := bus.Message{Subject: bus.MetricsSubject(h.o.Host, bus.Agent),
				ContentType: string(telemetry.ContentMsgPack), Body: b.AppendMsgPack(nil)}
			if err := h.out.Send(ctx, m, func(error) {}); err != nil && ctx.Err() == nil {
				h.log.Warn("counters of plugins not sent", "error", err)
			}
		}
	}
}

// interval returns how often the counters are published.
func (h *Host) interval() time.Duration {
	if every := h.inForce().Every; every > 0 {
		return every
	}
	return beatInterval
}

// addStatus adds s as one point.
func addStatus(b *telemetry.Batch, s telemetry.PluginStatus) {
	fields := telemetry.Fields{"up": s.State == "running", "restarts": s.Restarts, "rss": s.RSS, "cpu_ms": s.CPUMS, "denied": s.Denied, "backlog": s.Backlog}
	if c := s.Stats; c != nil {
		fields["points_in"], fields["points_out"] = c.PointsIn, c.PointsOut
		fields["batches_in"], fields["batches_out"] = c.BatchesIn, c.BatchesOut
		fields["bytes_in"], fields["bytes_out"] = c.BytesIn, c.BytesOut
		fields["redelivered"], fields["dead"] = c.Redelivered, c.Dead
		fields["ticks"], fields["missed"] = c.Ticks, c.Missed
		fields["errors"], fields["dropped"], fields["refused"] = sum(c.Errors), sum(c.Dropped), sum(c.Refused)
		fields["resent"], fields["resent_late"] = c.Resent, c.LateResent
		fields["queue"], fields["queue_bytes"] = c.Queue, c.QueueBytes
		fields["call_p50_us"], fields["call_p99_us"], fields["call_max_us"] = c.CallP50US, c.CallP99US, c.CallMaxUS
	}
	b.Add("plugin", fields, telemetry.Tags{"plugin": s.Name, "kind": s.Kind, "program": s.Program})
}

func sum(counts map[string]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

package plugin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// TestAlarmsOnceAMinute checks that a loss is told at once, and what comes after it once a minute with how much it is.
func TestAlarmsOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		begun := time.Now()
		changes := 0
		a := newAlarms(func() { changes++ })
		ctx, end := context.WithCancel(t.Context())
		go func() {
			_ = a.run(ctx, func(_ context.Context, kind, text string) {
				told = append(told, fmt.Sprintf("%v %s %s", time.Since(begun).Round(time.Second), kind, strings.Fields(text)[0]))
			})
		}()
		for range 30 { // 210 s
			a.add(dropOverflow, 10)
			a.add("type", 1) // of which nobody is told
			time.Sleep(7 * time.Second)
		}
		a.add(dropSeries, 7)
		time.Sleep(time.Hour)
		a.add(dropOverflow, 3)
		synctest.Wait()
		end()
		synctest.Wait()
		want := []string{"0s overflow 10", "1m0s overflow 80", "2m0s overflow 90", "3m0s overflow 80", "3m30s series_limit 7", "4m0s overflow 40", "1h3m30s overflow 3"}
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
		if changes != 3 { // begun, the other kind, begun again
			t.Errorf("heartbeats were hurried %d times", changes)
		}
	})
}

// TestAlarmsWaitForTheBus checks that what is lost while no event can be sent is told as one when it can.
func TestAlarmsWaitForTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAlarms(func() {})
		var told []string
		bus := make(chan struct{})
		ctx, end := context.WithCancel(t.Context())
		defer end()
		go func() {
			_ = a.run(ctx, func(ctx context.Context, kind, text string) {
				select {
				case <-bus:
					told = append(told, strings.Fields(text)[0])
				case <-ctx.Done():
				}
			})
		}()
		for range 600 {
			a.add(dropOverflow, 1)
			time.Sleep(time.Second)
		}
		close(bus)
		synctest.Wait()
		if !slices.Equal(told, []string{"1", "599"}) {
			t.Errorf("told of %v", told)
		}
	})
}

// TestAlarmFlags checks what heartbeats say, and for how long.
func TestAlarmFlags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAlarms(func() {})
		f := func(after time.Duration, want ...string) {
			t.Helper()
			time.Sleep(after)
			if got := a.names(time.Now()); !slices.Equal(got, want) {
				t.Errorf("flags %v, want %v", got, want)
			}
		}
		f(0)
		a.add(dropUnread, 5)
		f(0, telemetry.FlagUnread) // both mean the same to who acts
		a.set(telemetry.FlagStorageFull, true)
		f(59*time.Second, telemetry.FlagUnread, telemetry.FlagStorageFull)
		f(time.Hour, telemetry.FlagStorageFull)
		a.add(dropFlood, 1)
		f(0, telemetry.FlagFlood, telemetry.FlagStorageFull)
		a.set(telemetry.FlagStorageFull, false)
		f(0, telemetry.FlagFlood)
		f(time.Minute)
		a.set(telemetry.FlagStorageFull, false)
		f(0)
	})
}

// TestAlarmTexts checks that each flag has a text with a way out, and an event of the same name.
func TestAlarmTexts(t *testing.T) {
	f := func(kind, event, way string) {
		t.Helper()
		if got, text := alarmOf(kind, 12); got != event || !strings.Contains(text, way) {
			t.Errorf("%s: %s %q, want %s and %q", kind, got, text, event, way)
		}
	}
	f(dropOverflow, "overflow", "raise queue")
	f(dropFlood, "dropped_flood", "12 points")
	f(refusedFlood, "refused_flood", "12 points were refused, and kept by their senders")
	f(dropSeries, "series_limit", "raise max_series")
	f(dropUnread, "lost_unread", "12 batches")
	for _, way := range []string{"free the disk", "bus.max_store", "max_file_store"} {
		f(telemetry.FlagStorageFull, "storage_full", way)
	}
	f("nan", "", "")
	if _, text := alarmOf(dropUnread, 1); !strings.HasPrefix(text, "1 batch was dropped") {
		t.Errorf("of one: %q", text)
	}
}

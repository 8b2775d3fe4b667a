package telemetry

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// States of an Ack.
const (
	Accepted = "accepted"
	Refused  = "refused"
)

// Ack is the watcher's reply to a Heartbeat: what the watched should be.
// The watched obeys only the highest Term it has seen.
type Ack struct {
	Version       uint64   `json:"v"`
	Server        string   `json:"srv"`              // id of the watcher
	Term          uint64   `json:"term,omitzero"`    // grows with each change of the speaking watcher
	Seq           uint64   `json:"seq"`              // of the Heartbeat answered
	T1            int64    `json:"t1,omitzero"`      // of the Heartbeat answered, ns
	T2            int64    `json:"t2,omitzero"`      // wall clock of the watcher when it arrived, ns
	T3            int64    `json:"t3,omitzero"`      // wall clock of the watcher at sending, ns
	Received      uint64   `json:"rcv,omitzero"`     // Heartbeats received of this Inst
	Lost          uint64   `json:"lost,omitzero"`    // Heartbeats missing of this Inst
	Gen           uint64   `json:"gen,omitzero"`     // highest Gen known
	State         string   `json:"state"`            // Accepted or Refused
	Reason        string   `json:"reason,omitzero"`  // of a refusal: name_taken, api_version, config_invalid, conflict, not_allowed
	NextMS        int64    `json:"next_ms,omitzero"` // interval of Heartbeats wanted; 0: as it is
	Digest        Digest   `json:"inv,omitzero"`     // inventory that the watcher holds complete
	Flags         []string `json:"flags,omitzero"`   // warmup, conflict, maintenance, FlagHold
	BatchVersions []uint64 `json:"batch_v,omitzero"` // versions of batches its readers take; none: 1

	ConfigRev uint64 `json:"cfg_rev,omitzero"` // config revision wanted
	*Work            // when ConfigRev differs from the Heartbeat's; nil: nothing new
}

// FlagHold in an Ack asks the plugin to make itself ready for its work, and not to begin it: another process of its name
// is at work still. An Ack without it lets it begin.
const FlagHold = "hold"

// Work is all that a plugin needs to know of its task. It comes whole or not at all: on the wire its keys stand among
// those of the Ack, and an Ack without "config" has no Work.
type Work struct {
	Config        json.RawMessage   `json:"config"`                   // settings, an object; JSON text in msgpack too
	Inputs        []Input           `json:"inputs,omitzero"`          // consumers of a processor or publisher
	Tags          map[string]string `json:"tags,omitzero"`            // to add to each point that lacks them
	EveryMS       int64             `json:"every_ms,omitzero"`        // interval of a collector; 0: on request only
	Schedule      *Schedule         `json:"schedule,omitzero"`        // what EveryMS alone does not say
	TimeoutMS     int64             `json:"timeout_ms,omitzero"`      // of one call; 0: the kind's default
	MaxAckPending int64             `json:"max_ack_pending,omitzero"` // messages unacknowledged at most; 0: the default
	Parallel      int64             `json:"parallel,omitzero"`        // calls at a time; 0: one
	Order         string            `json:"order,omitzero"`           // OrderSource, or none
	QueueBytes    int64             `json:"queue_bytes,omitzero"`     // that may wait for the bus; 0: the default
	Overflow      string            `json:"overflow,omitzero"`        // when that is full: OverflowBlock, which is the default, or another one
	MaxRate       int64             `json:"max_rate,omitzero"`        // points a second; 0: no limit
	MaxSeries     int64             `json:"max_series,omitzero"`      // series at a time; 0: no limit
}

// OrderSource in Work.Order says that the batches of one source are worked on one after the other.
const OrderSource = "source"

// What becomes of points for which the queue of a collector has no room.
const (
	OverflowBlock      = "block"       // the collector waits
	OverflowDropOldest = "drop_oldest" // what waits longest is dropped and counted
	OverflowDropNew    = "drop_new"    // what comes is dropped and counted
)

// Input names a durable consumer that the hub has made, and what it selects.
type Input struct {
	Stream  string   `json:"stream"`
	Durable string   `json:"durable"`
	Filters []string `json:"filters,omitzero"`
	End     uint64   `json:"end,omitzero"` // last stream sequence that is meant for the plugin; 0: it goes on for ever
}

func (Ack) bounds() bounds { return beatBounds }

func (a Ack) check() error {
	if err := checkVersion(a.Version); err != nil {
		return err
	}
	if a.State != Accepted && a.State != Refused {
		return &ControlError{ControlRange, "state", quote(a.State) + ` is neither accepted nor refused`}
	}
	if err := checkCount("next_ms", a.NextMS, MaxIntervalMS); err != nil || a.Work == nil {
		return err
	}
	return a.Work.check()
}

func (w Work) check() error {
	if len(w.Config) == 0 {
		return &ControlError{Code: ControlRequired, Path: "config"}
	}
	return cmp.Or(
		checkCount("every_ms", w.EveryMS, decadesMS),
		checkCount("timeout_ms", w.TimeoutMS, decadesMS),
		checkCount("max_ack_pending", w.MaxAckPending, 1<<20),
		checkCount("parallel", w.Parallel, 1<<10),
		checkWord("order", w.Order, OrderSource),
		checkCount("queue_bytes", w.QueueBytes, 1<<40),
		checkWord("overflow", w.Overflow, OverflowBlock, OverflowDropOldest, OverflowDropNew),
		checkCount("max_rate", w.MaxRate, 1<<40),
		checkCount("max_series", w.MaxSeries, 1<<40),
	)
}

// checkWord refuses a word that is none of some; an empty one says nothing.
func checkWord(key, word string, words ...string) error {
	if word == "" || slices.Contains(words, word) {
		return nil
	}
	return &ControlError{ControlRange, key, quote(word) + " is none of " + strings.Join(words, ", ")}
}

// decadesMS is longer than any wait makes sense, and as nanoseconds still fits an int64.
const decadesMS = 1 << 40

// checkCount refuses n outside 0 to most.
func checkCount(key string, n, most int64) error {
	if n < 0 || n > most {
		return &ControlError{ControlRange, key, fmt.Sprintf("%d, expected 0 to %d", n, most)}
	}
	return nil
}

// DecodeAck decodes and checks an Ack in either encoding.
func DecodeAck(body []byte) (Ack, Encoding, error) { return decodeControl[Ack](body) }

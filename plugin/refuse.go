package plugin

import (
	"hash/fnv"
	"math"

	"github.com/pacewire/pacewire/telemetry"
)

// refuseRest sets aside what the publisher has left in the merged batch, and settles the deliveries of x: what else was in
// them is stored.
func (h *haul) refuseRest(x stretch, reason error) {
	left := h.left(x)
	for i := x.from; i < x.to; i++ {
		rest := &left[i-x.from]
		switch n := rest.Len(); {
		case n == 0:
		case n == h.points[i] && x.part == 0:
			h.refuse(stretch{from: i, to: i + 1}, "rejected", reason)
		default:
			h.points[i] -= n
			h.setAsidePoints(h.deliveries[i], rest, reason)
		}
	}
	h.settle(x)
}

// left returns the points that are left of each delivery of x: dead letters of one delivery do not depend on which others
// came with it, so that they are the same when it is given again. Points of the publisher's own making count as the first's.
func (h *haul) left(x stretch) []telemetry.Batch {
	left := make([]telemetry.Batch, x.to-x.from)
	of := make(map[*telemetry.Group]int)
	for i := range left {
		for g := range h.batches[x.from+i].Groups() {
			of[g] = i
		}
	}
	for g := range h.merged.Groups() {
		left[of[g]].Take(g)
	}
	return left
}

// setAsidePoints puts points, which are some of d, into the dead letters.
func (h *haul) setAsidePoints(d *delivery, points *telemetry.Batch, reason error) {
	n := points.Len()
	var bodies [][]byte
	for f := range points.Frames(telemetry.TargetFrame, func() []byte { return nil }) {
		bodies, n = append(bodies, f.Body), n-f.Points
	}
	if n > 0 { // some came in a message larger than ours are: then all of it
		h.setAside(d, d.body, 0, "rejected", reason)
		return
	}
	for _, body := range bodies {
		h.setAside(d, body, partOf(body), "rejected", reason)
	}
}

// partOf returns the number of a part that is named by its content: the same points have the same number when the delivery is given
// again, although the sink may refuse others of it then.
func partOf(body []byte) int {
	sum := fnv.New64a()
	_, _ = sum.Write(body)
	return int(sum.Sum64()&math.MaxInt) | 1<<20 // above the numbers of halves
}

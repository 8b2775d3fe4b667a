// Package recent keeps the latest value, and the last hour, of each series.
//
// It is no store: it forgets with its process, and what nobody has told for an hour. A number needs about 3.7 KB once an hour of
// it is there, and 0.6 KB after five minutes: its last value, and a slot of 8 bytes for each ten seconds, in pieces that are made
// when they are needed. Texts and bools have their last value only. All of it is counted as the heap has it, so that Limits bound
// the memory whatever the telemetry is.
//
// What counts is when something has arrived, by the monotonic clock of who adds: the times of points are labels, and the wall
// clock, which may be set, is for display.
package recent

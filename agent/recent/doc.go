// Package recent keeps the latest value, and the last hour, of each series.
//
// It is no store: it forgets with its process, and what nobody has told for an hour. A number needs about 3.4 KB once an hour of
// it is there, and 0.6 KB after five minutes: its last value, and a slot of 8 bytes for each ten seconds, in pieces that are made
// when they are needed. Keys and texts are counted too, so that Limits bound the memory whatever the telemetry is.
package recent

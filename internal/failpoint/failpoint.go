// Package failpoint lets a test harm a process at one place of the code. Only a build with the tag failpoint has failpoints at
// all: elsewhere they cost nothing, not even a look.
//
// PACEWIRE_FAILPOINTS names a folder. A failpoint is active while a file of its name is there.
package failpoint

// The failpoints.
const (
	// AckFirst confirms what a plugin sends a while before it is sent: a pipeline that loses.
	AckFirst = "ack-first"

	// SinkConfirmed kills a publisher after its sink has confirmed a call, and before the stream is told. It takes the file
	// away, so that one file is one death.
	SinkConfirmed = "sink-confirmed"
)

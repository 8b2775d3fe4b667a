package bus

import "errors"

var (
	// ErrClosed is returned after Close; make a new Conn, Publisher or Consumer.
	ErrClosed = errors.New("closed")

	// ErrDisconnected is returned by Request and Tell while no server is
	// connected: nothing was sent. The connection goes on trying by itself.
	ErrDisconnected = errors.New("bus is not connected")

	// ErrNoResponders is returned by Request when nobody listens on the subject;
	// ask again later.
	ErrNoResponders = errors.New("nobody answers on this subject")

	// ErrTimeout is returned when the context's deadline passed without an
	// answer. Whether the other side acted is unknown.
	ErrTimeout = errors.New("no answer in time")

	// ErrTooLarge is returned when a message exceeds what server or stream take:
	// split it in two.
	ErrTooLarge = errors.New("message too large for the bus")

	// ErrDenied is returned when the server refuses the subject to this user.
	// Sending again does not help before an operator changes its permissions.
	ErrDenied = errors.New("denied by the bus")

	// ErrRefused is returned when the stream refuses a message for good.
	ErrRefused = errors.New("refused by the stream")

	// ErrStopped is returned by Next after Stop.
	ErrStopped = errors.New("consumer stopped")

	// ErrSettled is returned when a delivery has been settled before.
	ErrSettled = errors.New("delivery is already settled")

	// ErrNoConsumer is returned when the stream has no such durable consumer:
	// the hub makes it, see EnsureConsumer.
	ErrNoConsumer = errors.New("no such consumer")

	// ErrNoStream is returned when the bus has no such stream: the hub makes
	// it, see EnsureStreams and EnsureBucket.
	ErrNoStream = errors.New("no such stream")

	// ErrNoLetter is returned when there is no dead letter of a number, or no
	// more: it was dropped or given again, or the limits of DEAD took it.
	ErrNoLetter = errors.New("no such dead letter")

	// ErrNoContent is returned when a dead letter is to be given again that is only
	// a description, as its batch was too large for one: look at it, and drop it.
	ErrNoContent = errors.New("dead letter without content")

	// ErrElsewhere is returned when a dead letter is to be given again that an
	// uplink has brought: the machine that it is from keeps it, and can do so.
	ErrElsewhere = errors.New("dead letter of another machine")

	// ErrKept is returned by DropLetter when DEAD was made by a version whose
	// streams let nobody delete, which cannot be undone: what is in it leaves by
	// age, or with the stream.
	ErrKept = errors.New("the stream DEAD lets nobody delete a message: an older pacewire has made it so, and what is in it leaves when it is as old as its limit, or with the stream")

	// ErrNoKey is returned when a bucket has no such key, or no more.
	ErrNoKey = errors.New("no such key")

	// ErrConflict is returned when a key was not at the revision it had to be at:
	// somebody else was first. Read it again, and decide again.
	ErrConflict = errors.New("changed by somebody else")

	// ErrFull is returned when a bucket, the store of the bus, or DEAD has no room for
	// what is new, be it a message or a stream. What is there can still be overwritten by less, and deleted.
	ErrFull = errors.New("store is full")

	// ErrFewServers is returned when fewer servers are there than are to keep a
	// stream or bucket: start the others, or wish for less.
	ErrFewServers = errors.New("too few servers")

	// ErrBadToken is returned by Untoken and ParseSubject for text that Token
	// and the builders of subjects never produce.
	ErrBadToken = errors.New("not a token")
)

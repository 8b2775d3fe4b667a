package hub

import "errors"

// Errors of what a hub is asked.
var (
	// ErrNoHost says that no host has the id or name that was given.
	ErrNoHost = errors.New("no such host")

	// ErrNoEntry says that the host has no such inventory entry, or that it has not come yet.
	ErrNoEntry = errors.New("no such inventory entry")

	// ErrNoJob says that there is no such refresh, or that it ended too long ago.
	ErrNoJob = errors.New("no such job")

	// ErrBusy says that so many refreshes are under way that another one has to wait: ask again when one of them has ended.
	ErrBusy = errors.New("too many refreshes are under way")

	// ErrNotConnected says that the host's agent does not listen on the bus at this moment.
	ErrNotConnected = errors.New("host is not connected")

	// ErrNotSpeaker says that another hub speaks: a change has to be asked of that one.
	ErrNotSpeaker = errors.New("another hub speaks")
)

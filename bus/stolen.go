package bus

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
)

// A DuplicateError says that a stream has a message of the same id at Seq, and has not stored this one: it may be this one, or one of
// somebody who has used its id. See PublisherOptions.Doubts.
type DuplicateError struct{ Seq uint64 }

func (e *DuplicateError) Error() string {
	return fmt.Sprintf("the stream has a message of this id already, at %d", e.Seq)
}

const (
	otherID     = "~other" // behind an id, before what makes another one of it
	otherDigits = 16
)

// OtherID returns another id for a message whose own one somebody else has used. Nobody can know it before it is used.
func OtherID(id string) string {
	var more [otherDigits / 2]byte
	_, _ = rand.Read(more[:]) // never fails
	return FirstID(id) + otherID + hex.EncodeToString(more[:])
}

// FirstID returns the id that OtherID was given, or id itself.
func FirstID(id string) string {
	at := len(id) - len(otherID) - otherDigits
	if at < 0 || !strings.HasPrefix(id[at:], otherID) || strings.Trim(id[at+len(otherID):], "0123456789abcdef") != "" {
		return id
	}
	return id[:at]
}

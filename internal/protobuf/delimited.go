package protobuf

import (
	"io"
	"iter"

	"google.golang.org/protobuf/encoding/protowire"
)

// Delimited yields the messages of a text in which each has its length before it. An error comes last: the text is cut off.
func Delimited(text []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for len(text) > 0 {
			msg, n := protowire.ConsumeBytes(text)
			if n < 0 {
				yield(nil, io.ErrUnexpectedEOF)
				return
			}
			if text = text[n:]; !yield(msg, nil) {
				return
			}
		}
	}
}

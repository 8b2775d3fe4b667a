package otlp

import "github.com/pacewire/pacewire/internal/protobuf"

// Wire types, in the low bits of a tag.
const (
	varint   = protobuf.Varint
	fixed64  = protobuf.Fixed64
	sized    = protobuf.Sized
	typeBits = protobuf.TypeBits
)

type fields = protobuf.Fields

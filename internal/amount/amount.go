// Package amount writes how many things there are.
package amount

import "fmt"

// Of writes n and the words for one or for several. They may be more than a noun, where others have to agree with it: "point was
// dropped", "points were dropped".
func Of[N int | int64 | uint64](n N, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprint(n, " ", several)
}

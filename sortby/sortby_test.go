package sortby

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

type card struct{ rank, place int }

func byRank(a, b card) int { return cmp.Compare(a.rank, b.rank) }

func both(a, b card) int { return cmp.Or(byRank(a, b), cmp.Compare(a.place, b.place)) }

func TestOrderIsThatOfSlices(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var cards []card
		for i, rank := range rapid.SliceOf(rapid.IntRange(0, 5)).Draw(rt, "ranks") {
			cards = append(cards, card{rank, i})
		}
		want := slices.Clone(cards)
		slices.SortStableFunc(want, byRank)
		stable, whole := slices.Clone(cards), slices.Clone(cards)
		Stable(stable, byRank)
		Func(whole, both)
		if collected := Collect(slices.Values(cards), both); !slices.Equal(stable, want) || !slices.Equal(whole, want) || !slices.Equal(collected, want) {
			rt.Errorf("%v, %v, %v, want %v", stable, whole, collected, want)
		}
	})
}

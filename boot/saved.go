package boot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/nft"
)

// Kind is the file's; `nft dump -o json` prints the same, without settings and boot.
const Kind = "Ruleset"

// maxFile is how many bytes a file may have.
const maxFile = 16 << 20

// Saved is what a file says. Settings and Boot are empty in one that Keeper did not write.
type Saved struct {
	nft.Ruleset
	Settings Settings `json:"settings,omitzero"`
	Excluded []string `json:"excluded,omitempty"` // of Free, Docker's bridges; see reconcile.Excluded
	Boot     string   `json:"boot,omitempty"`     // during which boot of the host it was written; see observe.BootID
}

// Settings are those that the ruleset was made with, and that show in it only by what came of them.
type Settings struct {
	Networks string `json:"networks,omitempty"` // GATEWAY_NETWORKS
	Policy   string `json:"policy,omitempty"`   // the others
}

// Encode writes a file.
func Encode(w io.Writer, s Saved) error {
	out := json.NewEncoder(w)
	out.SetIndent("", " ")
	return out.Encode(api.Wrap(Kind, s))
}

// Decode reads a file of this version, whole and nothing else. What it returns is valid, see [nft.Ruleset.Validate].
func Decode(r io.Reader) (Saved, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	switch {
	case err != nil:
		return Saved{}, err
	case len(text) > maxFile:
		return Saved{}, fmt.Errorf("it has more than %d bytes", maxFile)
	}
	var head struct{ APIVersion, Kind string }
	if err := json.Unmarshal(text, &head); err != nil { // also of anything behind it
		return Saved{}, fmt.Errorf("it is not JSON: %w", err)
	}
	if head.APIVersion != api.Version || head.Kind != Kind {
		return Saved{}, fmt.Errorf("it is %.40q of version %.40q; this dockerwall reads %s of %s", head.Kind, head.APIVersion, Kind, api.Version)
	}
	var object api.Object[Saved]
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	if err := in.Decode(&object); err != nil {
		return Saved{}, fmt.Errorf("it is not as dockerwall writes it: %w", err)
	}
	if object.Spec.LogGroup == 0 {
		return Saved{}, errors.New("it has no logGroup")
	}
	if err := object.Spec.Validate(); err != nil {
		return Saved{}, fmt.Errorf("the kernel would not take it: %w", err)
	}
	return object.Spec, nil
}

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// libraries are the files that a program loads at its start, its loader first among them, as ldd finds them.
func libraries(ctx context.Context, program string) (found, missing []string, err error) {
	cmd := exec.CommandContext(ctx, "ldd", program)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "not a dynamic executable") || strings.Contains(string(out), "statically linked") {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("ldd %s: %w: %s", program, err, strings.TrimSpace(string(out)))
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line) // "libc.so.6 => /lib/libc.so.6 (0x…)", "/lib64/ld-linux.so.2 (0x…)"
		switch {
		case strings.Contains(line, "not found"):
			missing = append(missing, fields[0])
		case len(fields) >= 3 && fields[1] == "=>":
			found = append(found, fields[2])
		case len(fields) > 0 && filepath.IsAbs(fields[0]):
			found = append(found, fields[0])
		}
	}
	return found, missing, nil
}

// libraryPackage is the package of a library that the Engine's programs load.
func libraryPackage(library string) string {
	for prefix, name := range map[string]string{
		"libdevmapper.so": "libdevmapper1.02.1", "libseccomp.so": "libseccomp2", "libsystemd.so": "libsystemd0",
		"libapparmor.so": "libapparmor1",
	} {
		if strings.HasPrefix(library, prefix) {
			return name
		}
	}
	return "the package with " + library
}

func checkLibraries(ctx context.Context, dir string) error {
	var errs []error
	for name := range enginePrograms() {
		_, missing, err := libraries(ctx, filepath.Join(dir, name))
		if err != nil {
			return err
		}
		for _, library := range missing {
			errs = append(errs, fmt.Errorf("%s needs %s: apt-get install %s", name, library, libraryPackage(library)))
		}
	}
	return errors.Join(errs...)
}

# The native parts. `npm run build` calls this; `make -C tender` and the like build one part.
# Objects go to build/obj/, products to dist/.
PARTS := tender/spt tender/init tender/control tender/fileserver solo5-bindings unikernels unikernels/linux

.PHONY: all clean $(PARTS)
all: $(PARTS)

$(PARTS):
	@if [ -f $@/Makefile ]; then $(MAKE) --no-print-directory -C $@; fi

unikernels: solo5-bindings

clean:
	rm -rf build/obj dist

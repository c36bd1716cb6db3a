/**
 * Whether memory grows with the image: 1 GiB and 16 GiB, all of it data, unpacked once each.
 *
 * 1. Slots take memory only where they were touched, so data that compress well would hide the
 *    packed slots: two frames of 16 are noise, which in time fills every slot to its end.
 * 2. The others repeat, so that the packed image stays small.
 */
import { GIB } from '../src/units.ts'
import type { Entry, MadeFile } from './entry.ts'
import { READING, SEALING, sameBytes } from './words.ts'

/** 16 frames of 4 MiB. */
const PIECE_MIB = 64

const piece: MadeFile = {
  file: 'piece',
  command:
    'openssl enc -aes-256-ctr -pbkdf2 -nosalt -pass file:secret -in /dev/zero 2> /dev/null' +
    ' | head -c 8M > noise || true; head -c 64K noise > grain' +
    '; for ((i = 0; i < 64; i++)); do cat grain; done > even' +
    '; for ((i = 0; i < 16; i++)); do' +
    ' case $i in 0) head -c 4M noise ;; 5) tail -c 4M noise ;; *) cat even ;; esac; done > piece',
}

export const memoryEntries: readonly Entry[] = [1, 16].map((gib): Entry => {
  const [raw, packed] = [`even.${gib}.img`, `even.${gib}.osimg`]
  const made: MadeFile = {
    file: raw,
    command: `for ((i = 0; i < ${(gib * 1024) / PIECE_MIB}; i++)); do cat piece; done > ${raw}`,
  }
  const image: MadeFile = {
    file: packed,
    command: `$OSFLASH pack ${raw} -o ${packed} ${SEALING} --level 1`,
  }
  return {
    name: `osflash-${gib}-gib`,
    group: 'memory',
    kind: 'osflash',
    title: `osflash unpack of ${gib} GiB, all data`,
    needs: ['openssl'],
    reads: packed,
    inputs: [piece, made, image],
    run: `$OSFLASH unpack ${packed} --to out.img ${READING}`,
    check: sameBytes(raw, 'out.img'),
    once: true,
    dataBytes: gib * GIB,
  }
})

/**
 * Whether memory grows with the image: 1 GiB and 16 GiB, all of it data, unpacked once each.
 *
 * The data repeat, so that the inputs are small and quickly made; what is held in memory does not
 * depend on it.
 */
import { GIB } from '../src/units.ts'
import type { Entry, MadeFile } from './entry.ts'
import { READING, SEALING, sameBytes } from './words.ts'

const PIECE_MIB = 16

const piece: MadeFile = {
  file: 'piece',
  command:
    'openssl enc -aes-256-ctr -pbkdf2 -nosalt -pass file:secret -in /dev/zero 2> /dev/null' +
    ' | head -c 64K > grain || true' +
    `; for ((i = 0; i < ${PIECE_MIB} * 16; i++)); do cat grain; done > piece`,
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

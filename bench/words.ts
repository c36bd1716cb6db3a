/**
 * Pieces of command lines that several entries share.
 */

/** How osflash opens an image. */
export const READING = '--trust keys/signer.pub --identity keys/recipient.key --workers $WORKERS'

/** How osflash seals one. */
export const SEALING = '--recipient keys/recipient.pub --sign-with keys/signer.key'

/** A passphrase from a file; nothing of the user's own key ring. */
export const GPG =
  'gpg --homedir gpg --batch --quiet --pinentry-mode loopback --passphrase-file secret'

/** The engine of `osflash unpack` alone; prints what `secondsPrinted` reads. */
export const decodeAlone = (image: string, workers = '$WORKERS'): string =>
  `node $BENCH/decode-alone.ts ${image} keys/recipient.key ${workers}`

const PIECE = '$((256 << 20))'

/** Two files are the same, compared by `cmp` in pieces on all processors. */
export function sameBytes(one: string, other: string): string {
  const pieces = `seq 0 ${PIECE} $(($(stat -c %s ${one}) - 1))`
  const compare = `cmp --ignore-initial={} --bytes=${PIECE} ${one} ${other}`
  const sameSize = `[ $(stat -c %s ${one}) = $(stat -c %s ${other}) ]`
  return `${sameSize} && ${pieces} | xargs -P 0 -I{} ${compare}`
}

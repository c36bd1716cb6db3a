/**
 * Where an image's bytes come from.
 *
 * 1. A source has a size and gives ranges, in any order and several at a time.
 * 2. It fills buffers of the caller's; it allocates nothing of the size of the data.
 *
 * Not promised: that the bytes are right. Nothing is believed before its digest held.
 */
export interface Source extends AsyncDisposable {
  /** Path or address, for messages. */
  readonly name: string
  /** Size of the whole image in bytes. */
  readonly bytes: number
  /**
   * Fills `into` with the bytes from `offset`.
   * @throws OsflashError `io` or `network`; `io` also when the source ends before
   */
  read(offset: number, into: Uint8Array): Promise<void>
}

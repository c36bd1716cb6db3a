/**
 * Hints that several places give, each a line to be typed.
 *
 * Upper-case words stand for what the operator has: `IMAGE`, `CERT`, `KEY`.
 */
import { STORE_LABEL, STORE_MOUNT } from './places.ts'

/** The way out of a rescue that holds, when what it stores is no good. */
export const RESUME_WITH = 'osflash resume --target IMAGE --trust CERT --identity KEY'

/** Where nobody is at work the store is not mounted; both labels of its partition are this. */
export const MOUNT_STORE = `mount LABEL=${STORE_LABEL} ${STORE_MOUNT}`

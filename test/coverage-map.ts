import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const room = fileURLToPath(new URL('../../src/certificate/', import.meta.url))
const files = readdirSync(room).map((name) => `src/certificate/${name}`)

/**
 * What a test file is to cover, for tap: the tests of `certificate/` cover that room, and every line of it (`npm test`
 * looks). The others are not measured: they run the command as a process of its own.
 */
export default (test: string): string[] | null => (test.includes('/test/certificate/') ? files : null)

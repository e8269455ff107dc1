import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

interface ParameterMetadata {
  readonly name: string
  readonly type: 'Boolean' | 'Integer' | 'Long' | 'RepeatList' | 'String'
  readonly required: boolean
}

/** What the vendor publishes about an operation. */
export interface Metadata {
  /** `GET|POST`, or `GET` alone. */
  readonly method: string
  readonly parameters: readonly ParameterMetadata[]
}

/** From `test/fixtures/openapi/`, as seen from `build-test/test/emulator/pop/`. */
export const metadataOf = (product: string, operation: string): Metadata => {
  const file = new URL(`../../../../test/fixtures/openapi/${product}/${operation}.json`, import.meta.url)
  return JSON.parse(readFileSync(fileURLToPath(file), 'utf8')) as Metadata
}

import type { Answer } from './answer.js'
import type { Parameter } from './percent-encoding.js'
import type { Call } from './service.js'
import type { WireRequest } from './wire-request.js'

interface PlacedParameter {
  readonly name: string
  readonly value: string
  readonly position: 'query' | 'body'
}

const placed = (list: readonly Parameter[], position: PlacedParameter['position']): readonly PlacedParameter[] =>
  list.map(([name, value]) => ({ name, value, position }))

/** A request that was received whole, and what became of it. */
export interface RecordedRequest {
  readonly time: Date
  readonly secure: boolean
  readonly method: string
  readonly host: string
  /** Path and query as they came over the wire: what a proxy in between would have logged. */
  readonly target: string
  readonly path: string
  /** Every parameter, decoded, in the order of the wire, and where it stood. */
  readonly parameters: readonly PlacedParameter[]
  readonly query: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  readonly action: string | undefined
  readonly bucket: string | undefined
  readonly key: string | undefined
  readonly accessKeyId: string | undefined
  readonly requestId: string | undefined
  /** What was sent back; `undefined` while the request is in flight, and for ever when a fault swallowed it. */
  readonly answer: { readonly status: number; readonly code: string | undefined } | undefined
  /** The name of the fault that struck. */
  readonly fault: string | undefined
}

/** The writing end of an entry. */
export interface JournalEntry {
  struck(fault: string): void
  answered(answer: Answer): void
}

/** Every request since the start, in the order in which they were complete. */
export class Journal {
  readonly #requests: RecordedRequest[] = []

  get requests(): readonly RecordedRequest[] {
    return this.#requests
  }

  open(request: WireRequest, call: Call | undefined): JournalEntry {
    const { form, ...wire } = request
    const record: { -readonly [K in keyof RecordedRequest]: RecordedRequest[K] } = {
      ...wire,
      parameters: [...placed(request.parameters, 'query'), ...placed(form, 'body')],
      action: call?.action,
      bucket: call?.bucket,
      key: call?.key,
      accessKeyId: call?.accessKeyId,
      requestId: call?.requestId,
      answer: undefined,
      fault: undefined,
    }
    this.#requests.push(record)
    return {
      struck(fault) {
        record.fault = fault
      },
      answered({ status, code }) {
        record.answer = { status, code }
      },
    }
  }
}

import type { Answer } from './answer.js'
import type { WireRequest } from './wire-request.js'

/**
 * One product of the cloud behind the shared listener. The emulator asks its services in order; the first that
 * recognizes a request answers it. A new product is a file that exports a `Service` and a line in `emulator.ts`.
 */
export interface Service {
  /** Says what the request asks for. It must neither check nor change anything: a fault may still strike. */
  match(request: WireRequest): Call | undefined
}

/** A request understood, not yet carried out. */
export interface Call {
  /** The RAM action, such as `oss:PutObject`; `undefined` for an operation that is not built. */
  readonly action: string | undefined
  readonly bucket: string | undefined
  readonly key: string | undefined
  /** Whose key the request claims to be signed with; not proven. */
  readonly accessKeyId: string | undefined
  readonly requestId: string
  /** Checks and carries out. Refusals are answers too; only a defect of the emulator may throw. */
  perform(): Answer | Promise<Answer>
  /** An error in the dress of this service, for faults. */
  refuse(status: number, code: string, message?: string, headers?: Readonly<Record<string, string>>): Answer
}

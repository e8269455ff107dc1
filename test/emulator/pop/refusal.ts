import type { JsonObject } from '../json.js'

/** An answer of an RPC product that is an error. Thrown anywhere below `pop/service.ts`, which turns it into JSON. */
export class PopRefusal extends Error {
  readonly status: number
  readonly code: string
  readonly details: JsonObject

  constructor(status: number, code: string, message: string, details: JsonObject = {}) {
    super(message)
    this.status = status
    this.code = code
    this.details = details
  }
}

/** The vendor's wording, for faults that give only a code. */
const wordings: Readonly<Record<string, string>> = {
  InternalError: 'The request processing has failed due to some unknown error.',
  ServiceBusy: 'The specified Domain is configuring, please retry later.',
  ServiceUnavailable: 'The request has failed due to a temporary failure of the server.',
  Throttling: 'Request was denied due to request throttling.',
  'Throttling.Api': 'Request was denied due to api flow control.',
  'Throttling.User': 'Request was denied due to user flow control.',
}

export const popWording = (code: string): string => wordings[code] ?? `${code}.`

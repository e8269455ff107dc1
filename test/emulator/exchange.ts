import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { type Answer, htmlPage, send, sendCut } from './answer.js'
import type { Fate, FaultBook } from './fault.js'
import type { Journal } from './journal.js'
import type { Call, Service } from './service.js'
import { readRequest, type WireRequest } from './wire-request.js'

export interface ExchangeParts {
  readonly services: readonly Service[]
  readonly faults: FaultBook
  readonly journal: Journal
  readonly now: () => Date
  /** Added to every request, in milliseconds. */
  readonly latency: () => number
  /** Ends all waiting when the emulator closes. */
  readonly closing: AbortSignal
}

type Handler = (incoming: IncomingMessage, response: ServerResponse) => Promise<void>

/** TLS sockets cannot send a reset, only hang up. */
const reset = (socket: Socket | null): void => {
  if (socket === null) return
  if ('encrypted' in socket) socket.destroy()
  else socket.resetAndDestroy()
}

const nobodyAnswers: Answer = {
  status: 404,
  headers: { 'Content-Type': 'text/plain' },
  body: Buffer.from('no service\n'),
}

/** A defect must look like one to the test that met it, not like a broken connection. */
const perform = async (call: Call | undefined): Promise<Answer> => {
  if (call === undefined) return nobodyAnswers
  try {
    return await call.perform()
  } catch (error) {
    return call.refuse(500, 'InternalError', `emulator defect: ${error instanceof Error ? error.stack : error}`)
  }
}

const answerFor = (fault: Fate['fault'], call: Call | undefined): Answer | Promise<Answer> => {
  if (fault !== undefined && 'html' in fault) return htmlPage(fault.html)
  if (fault !== undefined && 'status' in fault)
    return call?.refuse(fault.status, fault.code, fault.message, fault.headers) ?? nobodyAnswers
  return perform(call)
}

const faultName = (fault: NonNullable<Fate['fault']>): string => {
  if ('reset' in fault) return `reset ${fault.reset}`
  if ('html' in fault) return `html ${fault.html}`
  if ('status' in fault) return `${fault.status} ${fault.code}`
  return 'hang' in fault ? 'hang' : 'cutBody'
}

const callFor = (services: readonly Service[], request: WireRequest): Call | undefined => {
  for (const service of services) {
    const call = service.match(request)
    if (call !== undefined) return call
  }
  return undefined
}

/** One request from its arrival to its answer. */
export const exchange =
  (parts: ExchangeParts): Handler =>
  async (incoming, response) => {
    const request = await readRequest(incoming, parts.now())
    if (request === undefined) return
    const call = callFor(parts.services, request)
    const entry = parts.journal.open(request, call)
    const { delayMs, fault } = parts.faults.fate({
      method: request.method,
      action: call?.action,
      bucket: call?.bucket,
      key: call?.key,
    })
    if (fault !== undefined) entry.struck(faultName(fault))
    const wait = delayMs + parts.latency()
    if (wait > 0) await pause(wait, undefined, { signal: parts.closing }).catch(() => undefined)
    if (parts.closing.aborted || (fault !== undefined && 'hang' in fault)) return

    const lost = fault !== undefined && 'reset' in fault ? fault.reset : undefined
    if (lost === 'before') return reset(incoming.socket)
    const answer = await answerFor(fault, call)
    if (lost === 'after') return reset(incoming.socket)

    entry.answered(answer)
    if (fault !== undefined && 'cutBody' in fault) sendCut(response, answer)
    else send(response, answer)
  }

import type { Answer } from '../answer.js'
import { type JsonObject, jsonAsXml } from '../json.js'
import type { WireRequest } from '../wire-request.js'
import { xmlDocument } from '../xml.js'
import type { Claim } from './claim.js'
import { PopRefusal } from './refusal.js'

const errorBody = (
  { code, message, details }: PopRefusal,
  hostId: string,
  product: string,
  id: string,
): JsonObject => ({
  HostId: hostId,
  Code: code,
  Message: message,
  Recommend: `https://api.aliyun.com/troubleshoot?q=${code}&product=${product}&requestId=${id}`,
  ...details,
})

/** Puts what became of a call into the form that every answer of the gateway has. */
export const popAnswers = (request: WireRequest, claim: Claim, product: string, now: () => Date) => ({
  of: (result: JsonObject | PopRefusal, extra?: Readonly<Record<string, string>>): Answer => {
    const refused = result instanceof PopRefusal ? result : undefined
    const content = refused ? errorBody(refused, request.host, product, claim.requestId) : (result as JsonObject)
    const body = { RequestId: claim.requestId, ...content }
    const [root] = jsonAsXml(refused ? 'Error' : `${claim.action}Response`, body)
    return {
      status: refused?.status ?? 200,
      headers: {
        Date: now().toUTCString(),
        'Content-Type': claim.format === 'XML' ? 'text/xml;charset=utf-8' : 'application/json;charset=utf-8',
        'x-acs-request-id': claim.requestId,
        ...extra,
      },
      body: claim.format === 'XML' && root ? xmlDocument(root) : Buffer.from(JSON.stringify(body)),
      code: refused?.code,
    }
  },
})

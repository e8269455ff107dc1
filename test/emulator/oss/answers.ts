import type { Answer } from '../answer.js'
import type { WireRequest } from '../wire-request.js'
import type { Outcome } from './operation.js'
import { errorDocument, OssRefusal } from './refusal.js'

/** The answer to a HEAD has no body, so OSS hides the document in a header. */
const refused = (refusal: OssRefusal, request: WireRequest, requestId: string): Outcome => {
  const document = errorDocument(refusal, requestId, request.host)
  const ec: Record<string, string> = refusal.ec === undefined ? {} : { 'x-oss-ec': refusal.ec }
  return request.method === 'HEAD'
    ? { status: refusal.status, headers: { ...ec, 'x-oss-err': document.toString('base64') } }
    : { status: refusal.status, headers: { ...ec, 'Content-Type': 'application/xml' }, body: document }
}

/** Puts what became of a request into the form that every answer of OSS has. */
export const ossAnswers = (request: WireRequest, requestId: string, now: () => Date) => ({
  of: (result: Outcome | OssRefusal, extra?: Readonly<Record<string, string>>): Answer => {
    const outcome = result instanceof OssRefusal ? refused(result, request, requestId) : result
    return {
      status: outcome.status,
      headers: {
        Server: 'AliyunOSS',
        Date: now().toUTCString(),
        'x-oss-request-id': requestId,
        'x-oss-server-time': '1',
        ...outcome.headers,
        ...extra,
      },
      body: outcome.body ?? Buffer.alloc(0),
      code: result instanceof OssRefusal ? result.code : undefined,
    }
  },
})

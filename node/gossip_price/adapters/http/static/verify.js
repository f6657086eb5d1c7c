// Prove a price from its content, in this browser. The rules are core/proof.py's, the bytes those
// of docs/protocol.md. Believes nothing that is not signed; asks nobody.

import { secp256k1 } from "./vendor/noble-curves/secp256k1.js";
import { keccak_256 } from "./vendor/noble-hashes/sha3.js";
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from "./vendor/noble-hashes/utils.js";

const REPORT_TYPE =
  "Report(bytes32 epoch,string pair,uint64 round,uint256 price,uint8 decimals,uint64 observedAt,address proposer)";
const DOMAIN_TYPE = "EIP712Domain(string name,string version,bytes32 salt)";
const HASH = /^0x[0-9a-f]{64}$/;
const ADDRESS = /^0x[0-9a-fA-F]{40}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i;
/** The year 10000: later moments have no such text. */
const MOMENT_END_S = 253_402_300_800;
const SIGNATURE = /^0x[0-9a-f]{130}$/;
const HALF_ORDER = secp256k1.Point.Fn.ORDER / 2n;

/** Says which rule does not hold: `reason` is the label that `gossip-price verify` gives too. */
export class Unproven extends Error {
  constructor(reason, detail) {
    super(detail);
    this.reason = reason;
  }
}

const keccakText = (text) => keccak_256(utf8ToBytes(text));
const toHex = (bytes) => `0x${bytesToHex(bytes)}`;
const fromHex = (text) => hexToBytes(text.slice(2));
const word = (number) => hexToBytes(BigInt(number).toString(16).padStart(64, "0"));

/** EIP-55: the case of an address's letters is a checksum. */
export function formatAddress(bytes) {
  const digits = bytesToHex(bytes);
  const hash = bytesToHex(keccakText(digits));
  return `0x${[...digits].map((digit, at) => (parseInt(hash[at], 16) >= 8 ? digit.toUpperCase() : digit)).join("")}`;
}

/** The 32 bytes that are signed, for a network's id. */
export function computeId(report, networkId) {
  const domain = keccak_256(
    concatBytes(
      keccakText(DOMAIN_TYPE),
      keccakText("gossip-price"),
      keccakText("1"),
      fromHex(networkId),
    ),
  );
  const content = keccak_256(
    concatBytes(
      keccakText(REPORT_TYPE),
      fromHex(report.epoch),
      keccakText(report.pair),
      word(report.round),
      word(report.price),
      word(report.decimals),
      word(report.observedAt),
      hexToBytes(report.proposer.slice(2).toLowerCase().padStart(64, "0")),
    ),
  );
  return keccak_256(concatBytes(Uint8Array.of(0x19, 0x01), domain, content));
}

/** The address that signed; the strict form: 65 bytes, v 27 or 28, low s. */
export function recover(digest, signature) {
  const v = signature[64];
  if (v !== 27 && v !== 28) throw new Error(`v is 27 or 28, not ${v}`);
  if (BigInt(toHex(signature.slice(32, 64))) > HALF_ORDER)
    throw new Error("s is in the upper half of the curve's order");
  const given = concatBytes(Uint8Array.of(v - 27), signature.slice(0, 64));
  const point = secp256k1.Signature.fromBytes(given, "recovered").recoverPublicKey(digest);
  return formatAddress(keccak_256(point.toBytes(false).slice(1)).slice(-20));
}

/** The hash of a network document: keccak-256 of its canonical bytes. */
export function computeDocumentHash(document) {
  const canonical = {};
  for (const key of [
    "protocol",
    "networkId",
    "epoch",
    "previous",
    "start",
    "interval",
    "mode",
    "minimumSigners",
    "faulty",
    "fallbackDelay",
    "skew",
    "settle",
    "settleCap",
    "maxDeviation",
  ]) {
    canonical[key] = document[key];
  }
  canonical.pairs = document.pairs.map(({ pair, decimals, minPrice, maxPrice }) => ({
    pair,
    decimals,
    minPrice,
    maxPrice,
  }));
  canonical.members = document.members.map(({ address, peerId }) => ({ address, peerId }));
  return toHex(keccakText(JSON.stringify(canonical)));
}

/** Prove `price` (the API's JSON). `trusted` are document hashes; without any, the proof is
 * relative to the document that came with the price.
 *
 * Returns {id, documentHash, epoch, needed, signers, isRelative}. Throws Unproven. Members sign
 * what is in the report, so what stands beside it for reading must say the same.
 */
export function verifyPrice(price, trusted = []) {
  const { report, document, networkId, signatures } = price;
  checkShape(price);
  const documentHash = computeDocumentHash(document);
  if (report.epoch !== documentHash) {
    throw new Unproven(
      "epoch_mismatch",
      `the report names the document ${report.epoch}, and the one that came with it is ${documentHash}`,
    );
  }
  if (document.networkId !== networkId) {
    throw new Unproven("network_mismatch", `the document is of the network ${document.networkId}`);
  }
  if (trusted.length > 0 && !trusted.includes(documentHash)) {
    throw new Unproven(
      "epoch_untrusted",
      `it stands on the document ${documentHash}, which is not the one that you trust`,
    );
  }
  checkDocument(document);
  checkShown(price);
  checkReport(report, document);
  const digest = computeId(report, networkId);
  if (price.id !== toHex(digest))
    throw new Unproven("id_mismatch", `the content's id is ${toHex(digest)}`);
  const members = new Map(document.members.map(({ address }, index) => [address, index]));
  const signers = [];
  for (const { signer, signature } of signatures) {
    const address = recoverNamed(digest, signer, signature);
    if (!members.has(address))
      throw new Unproven("signer_foreign", `${address} is no member of epoch ${document.epoch}`);
    if (signers.includes(address))
      throw new Unproven("signer_twice", `${address} is counted twice`);
    signers.push(address);
  }
  if (!signers.includes(report.proposer)) {
    throw new Unproven(
      "proposer_missing",
      `${report.proposer} proposed this and its signature is not here`,
    );
  }
  if (signers.length < document.minimumSigners) {
    throw new Unproven(
      "signers_few",
      `${signers.length} members signed, epoch ${document.epoch} needs ${document.minimumSigners}`,
    );
  }
  return {
    id: price.id,
    documentHash,
    epoch: document.epoch,
    needed: document.minimumSigners,
    signers,
    isRelative: trusted.length === 0,
  };
}

function recoverNamed(digest, signer, signature) {
  if (!SIGNATURE.test(signature))
    throw new Unproven("signature_malformed", `the one of ${signer} is not 0x and 130 hex digits`);
  let address;
  try {
    address = recover(digest, fromHex(signature));
  } catch (error) {
    throw new Unproven("signature_invalid", `the one of ${signer}: ${error.message}`);
  }
  if (address !== signer)
    throw new Unproven(
      "signature_invalid",
      `the one of ${signer} is not over this content by that key`,
    );
  return address;
}

function checkShape({ id, networkId, report, signatures, document }) {
  const require = (holds, field) => {
    if (!holds) throw new Unproven("malformed", `${field} is not what a price has there`);
  };
  require(HASH.test(id), "id");
  require(HASH.test(networkId), "networkId");
  require(report && typeof report === "object", "report");
  require(HASH.test(report.epoch), "report.epoch");
  require(typeof report.pair === "string", "report.pair");
  require(/^[1-9][0-9]{0,15}$/.test(report.price), "report.price");
  for (const field of ["round", "decimals", "observedAt"])
    require(isCount(report[field]), `report.${field}`);
  require(report.decimals <= 18, "report.decimals");
  require(ADDRESS.test(report.proposer), "report.proposer");
  require(Array.isArray(signatures) && signatures.length <= 256, "signatures");
  require(document && Array.isArray(document.pairs) && Array.isArray(document.members), "document");
}

const isCount = (value) => Number.isSafeInteger(value) && value >= 0;

/** The rules of a document that a proof leans on; the hash says that it is the one that was signed. */
function checkDocument(document) {
  const { epoch, mode, members, minimumSigners, faulty, interval, protocol } = document;
  const fail = (detail) => {
    throw new Unproven("document_invalid", `epoch ${epoch}: ${detail}`);
  };
  if (protocol !== 1)
    throw new Unproven(
      "protocol_unknown",
      `epoch ${epoch} has protocol ${protocol}, whose rules this page does not know`,
    );
  if (![epoch, minimumSigners, faulty, interval, document.start].every(isCount) || interval < 1)
    fail("a number is none");
  if (minimumSigners < 1 || minimumSigners > members.length)
    fail("minimumSigners is not 1 to the number of members");
  if (mode !== "Rounds" && mode !== "EveryNode") fail(`mode ${mode}`);
  if (mode === "Rounds" && 2 * minimumSigners <= members.length + faulty)
    fail("two prices of one round could both be proven");
  const addresses = members.map(({ address }) => address);
  if (
    !addresses.every(
      (one) => ADDRESS.test(one) && formatAddress(hexToBytes(one.slice(2).toLowerCase())) === one,
    )
  )
    fail("a member's address is none");
  if (new Set(addresses).size !== addresses.length) fail("a member stands in it twice");
}

function checkReport(report, document) {
  const terms = document.pairs.find(({ pair }) => pair === report.pair);
  if (!terms)
    throw new Unproven("pair_unknown", `epoch ${document.epoch} has no pair ${report.pair}`);
  if (report.decimals !== terms.decimals)
    throw new Unproven(
      "decimals_mismatch",
      `${report.decimals} given, the epoch has ${terms.decimals}`,
    );
  const price = Number(report.price);
  if (!Number.isSafeInteger(price) || price < terms.minPrice || price > terms.maxPrice) {
    throw new Unproven(
      "price_range",
      `${report.price} given, the epoch allows ${terms.minPrice} to ${terms.maxPrice}`,
    );
  }
  if (report.round !== report.observedAt - (report.observedAt % document.interval)) {
    throw new Unproven(
      "round_mismatch",
      `round ${report.round} is not the time ${report.observedAt} rounded down to ${document.interval} s`,
    );
  }
  if (report.round < document.start)
    throw new Unproven("round_early", `round ${report.round} is before the epoch's start`);
  if (!document.members.some(({ address }) => address === report.proposer)) {
    throw new Unproven(
      "proposer_foreign",
      `${report.proposer} is no member of epoch ${document.epoch}`,
    );
  }
}

/** What stands beside the report for people must be what was signed: texts by the letter, times
 * by the moment that they name (adapters/shown.py has the same rule). */
function checkShown({ report, ...shown }) {
  const signed = {
    pair: report.pair,
    price: scale(report.price, report.decimals),
    time: formatMoment(report.round),
    observedAt: formatMoment(report.observedAt),
  };
  for (const [field, text] of Object.entries(signed)) {
    const given = shown[field];
    if (given === undefined || given === text) continue;
    const isMoment = field === "time" || field === "observedAt";
    if (!isMoment || typeof given !== "string" || !TIME.test(given) || Date.parse(given) !== Date.parse(text))
      throw new Unproven("column_mismatch", `${field} is ${given}, signed: ${text}`);
  }
}

/** Unix seconds as RFC 3339; null beyond the calendar. */
function formatMoment(s) {
  return s < MOMENT_END_S ? `${new Date(1000 * s).toISOString().slice(0, 19)}Z` : null;
}

/** The signed integer as the decimal that it means. */
export function scale(integer, decimals) {
  if (decimals === 0) return integer;
  const digits = integer.padStart(decimals + 1, "0");
  return `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`;
}

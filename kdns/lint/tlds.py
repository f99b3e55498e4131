"""Top-level domains that people look up names below, in the clusters of this world.

The most used ones of the IANA root zone database (https://www.iana.org/domains/root/db): the
original generic domains, large country codes, and newer ones with many names of programmers.
"""

_WORDS = """
    com org net edu gov mil int info biz arpa
    ac ai ar at au be br ca cc ch cl cn co cz de dk es eu fi fm fr gg gr hk hu id ie il im in io ir
    is it jp kr kz la li lt lu lv me mx my nl no nu nz ph pl pt ro rs ru se sg sh si sk so st su th
    to tr tv tw ua uk us vn ws xyz za
    app art blog build cloud club codes dev digital email games group live media network news online
    page pro run shop site software solutions space store systems team tech tools top website wiki
    work works world zone
"""
TLDS = frozenset(_WORDS.split())
